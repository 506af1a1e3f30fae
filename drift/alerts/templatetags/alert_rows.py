"""Rows of the lists of alerts and of incidents.

Formatted here and not in a template, where each of a page's fifty took a fifth of a millisecond: a third of the page.
"""

from __future__ import annotations

from functools import lru_cache
from html import escape
from typing import TYPE_CHECKING, Final

from django import template
from django.utils.safestring import SafeString, mark_safe

from drift.alerts.templatetags.alerts import bounded, compact, minute, score_band
from drift.web.page_parts import icon, one_line

if TYPE_CHECKING:
    from drift.alerts.queries.alert_list import AlertRow
    from drift.alerts.queries.incident_list import IncidentRow

register = template.Library()
_SCORE: Final = '<td class="priority"><span class="score {band}" title="{reasons}">{priority}</span></td>'
_ALERT: Final = (
    '<tr id="alert-{pk}" data-alert="{pk}"{closed}>\n'
    "  {checkbox}\n"
    "  {score}\n"
    '  <td class="severity {severity}">{severity_label}</td>\n'
    '  <td class="alert-name">\n'
    '    <a href="{url}" title="{path}">{icon}<span class="alert-title">{title}</span>'
    '<span class="what">{what}</span></a>\n'
    '    <span class="notes">{notes}</span>\n'
    "  </td>\n"
    '  <td><span class="resource" title="{cluster}">{cluster_icon}{cluster}</span></td>\n'
    '  <td title="{group}">{group}</td>\n'
    '  <td class="time">{started}</td>\n'
    '  <td class="time updated">{updated}</td>\n'
    '  <td class="tactics-cell"><span class="resource">{tactics_icon}Execution</span></td>\n'
    '  <td class="status {status}">{status_label}</td>\n'
    "</tr>\n"
)
_INCIDENT: Final = (
    '<tr id="{key}" data-alert="{key}"{closed}>\n'
    "    {checkbox}\n"
    "    {score}\n"
    '    <td class="alert-name"><a href="{url}" title="{path}">{icon}<span class="alert-title">{name}</span>'
    '<span class="what">{what}</span></a>{notes}</td>\n'
    '    <td class="number">{count}</td>\n'
    '    <td class="wide"><span class="resource" title="{cluster}">{cluster_icon}{cluster}</span></td>'
    '<td class="wide" title="{group}">{group}</td>\n'
    '    <td class="time wide">{first}</td><td class="time wide">{last}</td>'
    '<td class="wide status {status}">{status_label}</td>\n'
    "  </tr>"
)
_CHECKBOX: Final = (
    '<td class="narrow"><input type="checkbox" name="alert" value="{choice}" form="bulk" aria-label="{label}"></td>'
)


@register.simple_tag
def alert_row(alert: AlertRow, can_triage: bool) -> SafeString:  # noqa: FBT001 - a tag's argument
    """Return the row of an alert, with a checkbox where it can be chosen."""
    html = _ALERT.format(
        pk=escape(alert["pk"]),
        closed="" if alert["is_open"] else ' class="closed"',
        checkbox=_checkbox(alert["choice"], f"Select alert {alert['pk']}") if can_triage else "",
        score=_score(alert),
        severity=escape(alert["severity"]),
        severity_label=escape(alert["severity_label"]),
        url=escape(alert["url"]),
        path=_shown(alert["path"]),
        icon=icon("alert"),
        title=escape(alert["title"]),
        what=_shown(alert["what"]),
        notes=_notes(alert),
        cluster=_often_shown(alert["cluster"]),
        cluster_icon=icon("cluster"),
        group=_often_shown(alert["group"]),
        started=minute(alert["started"]),
        updated=minute(alert["updated"]),
        tactics_icon=icon("execution"),
        status=escape(alert["status"]),
        status_label=escape(alert["status_label"]),
    )
    return mark_safe(html)  # noqa: S308 - every value is escaped above


@register.simple_tag
def incident_row(row: IncidentRow, can_triage: bool, list_url: str) -> SafeString:  # noqa: FBT001 - as above
    """Return the row of an incident, or of an alert that is alone in its own; `list_url`: of the list of alerts."""
    alert = row.first_alert
    label = f"Select alert {alert['pk']}" if row.is_single else f"Select all alerts of {one_line(row.name)}"
    checkbox = _checkbox(row.choice, label) if row.choice else '<td class="narrow"></td>'
    count = f'<a href="{escape(list_url)}?{escape(row.query)}">{bounded(row.count)}</a>' if row.query else "1"
    html = _INCIDENT.format(
        key=escape(row.key),
        closed="" if row.is_open else ' class="closed"',
        checkbox=checkbox if can_triage else "",
        score=_score(alert),
        url=escape(row.url),
        path=_shown(alert["path"]),
        icon=icon("alert" if row.is_single else "cube"),
        name=_shown(row.name),
        what=_shown(alert["what"]),
        notes='<span class="notes"><span class="badge">Routine</span></span>' if row.is_routine else "",
        count=count,
        cluster=_often_shown(alert["cluster"]),
        cluster_icon=icon("cluster"),
        group=_often_shown(alert["group"]),
        first=minute(row.first),
        last=minute(row.last),
        status=escape(row.status),
        status_label=escape(row.status.label),
    )
    return mark_safe(html)  # noqa: S308 - every value is escaped above


def _checkbox(choice: str, label: str) -> str:
    return _CHECKBOX.format(choice=escape(choice), label=escape(label))


def _score(alert: AlertRow) -> str:
    priority = alert["priority"]
    reasons = _often_shown(alert["reasons"] or "No signal")
    return _SCORE.format(band=score_band(priority), reasons=reasons, priority=priority)


def _notes(alert: AlertRow) -> str:
    count, assignee = alert["count"], alert["assignee"]
    sample = '<span class="badge info sample">Sample</span>' if alert["sample"] else ""
    times = f'<span class="times" title="{count} executions">× {compact(count)}</span>' if count > 1 else ""
    return f'{sample}{times}<span class="assignee">{escape(assignee)}</span>' if assignee else f"{sample}{times}"


def _shown(text: str | None) -> str:
    return escape(one_line(text))


_often_shown = lru_cache(maxsize=1_024)(_shown)
"""Of names that most rows of a page have in common."""
