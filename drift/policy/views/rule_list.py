"""The policy page's list of rules: its context, and one row of HTML for each rule."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final
from urllib.parse import quote

from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

from drift.policy.domain.default_blocking import blocks_by_default
from drift.policy.domain.detection import alerts_on_nothing, detects_nothing, unreported_kinds
from drift.policy.domain.diff import DEFAULT_NAME
from drift.policy.domain.edits import Document, Rule
from drift.policy.queries.approval import approval_rule
from drift.policy.queries.draft_steps import undo_label
from drift.policy.queries.drafts import DraftState
from drift.policy.queries.proposals import proposal_notices
from sensor.policy import DEFAULT_RULE, PROVIDERS, cloud_scope_summary, describe_action

ALL_CLOUDS = cloud_scope_summary([{"provider": provider} for provider in PROVIDERS])


def page_context(request: HttpRequest, state: DraftState) -> dict[str, Any]:
    """Return the context of `policy/list/page.html`."""
    query = request.GET.get("q", "")
    return {
        "state": state,
        "table": rule_table(state.document, query, can_edit=state.can_edit),
        "query": query,
        "changes": len(state.changes),
        "undo_label": undo_label(state.user) if state.can_edit else "",
        "proposals": proposal_notices(state.user),
        "approval_mode": approval_rule().mode,
        "detects_nothing": detects_nothing(state.document),
        "unreported_kinds": unreported_kinds(state.document),
        "alerts_on_nothing": alerts_on_nothing(state.document),
        "blocks_by_default": blocks_by_default(state.document),
    }


@dataclass(frozen=True)
class RuleRow:
    """One row of the table: a rule, or the default rule."""

    id: str
    priority: int = field(compare=False)
    name: str
    action: str
    cloud_scope: str
    scope_description: str
    enabled: bool = True
    expires_at: str | None = None

    @property
    def search(self) -> str:
        """The string that the search box searches: rule name and scope name, in lower case."""
        return f"{self.name}\n{self.scope_description}\n{self.cloud_scope}".lower()

    @property
    def is_default(self) -> bool:
        return self.id == DEFAULT_RULE


@dataclass(frozen=True)
class RuleTable:
    """The table's body as HTML, and how many rows it has."""

    html: SafeString
    row_count: int


def rule_table(document: Document, query: str, *, can_edit: bool) -> RuleTable:
    """Return the rules in priority order, the default rule last; with a query only those that it finds.

    The page's script fills in hits and last match.
    """
    rows = [_rule_row(place, rule) for place, rule in enumerate(document["rules"], start=1)]
    rows.append(_default_row(document))
    wanted = query.strip().lower()
    shown = [row for row in rows if wanted in row.search]
    link = reverse("policy:rule")
    parts = ((_row_html(row, link, can_edit), row.priority) for row in shown)
    html = "".join(f"{before}{priority}{after}" for (before, after), priority in parts)
    return RuleTable(mark_safe(html), len(shown))  # noqa: S308 - `_row_html` escapes every value


# Formatted here and not in a template, where a thousand rows took a third of a second. Few elements per row, since the
# browser lays out each of them.
_ROW: Final = (
    '<tr class="{kind}" data-id="{id}">'
    '<td class="select"><input type="checkbox"{choice} aria-label="Select {name}"></td>'
    '<td class="grip">{handle}</td><td class="priority">{priority}</td>'
    '<td class="name"><a id="open-{id}" href="{link}" data-panel>{name}</a>{badges}</td>'
    "<td>{action}</td><td>{cloud}</td><td>{description}</td>"
    '<td class="hits"><span class="execs"></span><span class="workloads"></span></td><td class="matched"></td></tr>\n'
)
_PRIORITY: Final = "\0"
"""Placeholder for the priority: no string of a rule contains a NUL."""
_CHOICE: Final = ' name="rule" value="{}"'
_HANDLE: Final = (
    '<button type="button" class="handle" aria-label="Move {}" aria-keyshortcuts="Alt+ArrowUp Alt+ArrowDown"></button>'
)


@lru_cache(maxsize=4_096)
def _row_html(row: RuleRow, link: str, can_edit: bool) -> tuple[str, str]:  # noqa: FBT001
    """Return the row's HTML before and after its priority, the only part that a move changes. Cached per row."""
    is_rule = not row.is_default
    before, _, after = format_html(
        _ROW,
        kind="rule" if is_rule else "default",
        id=row.id,
        choice=format_html(_CHOICE, row.id) if is_rule else "",
        name=row.name,
        handle=format_html(_HANDLE, row.name) if is_rule and can_edit else "",
        priority=_PRIORITY,
        link=f"{link}?rule={quote(row.id, safe='')}",
        badges=_badges(row),
        action=row.action,
        cloud=row.cloud_scope,
        description=row.scope_description,
    ).partition(_PRIORITY)
    return before, after


def _badges(row: RuleRow) -> SafeString | str:
    if not row.enabled:
        return mark_safe(' <span class="badge">Disabled</span>')
    if row.expires_at:
        return format_html(' <span class="badge warning">Until {}</span>', row.expires_at[:10])
    return ""


def _rule_row(place: int, rule: Rule) -> RuleRow:
    return RuleRow(
        rule["id"],
        place,
        rule["name"],
        describe_action(rule),
        cloud_scope_summary(rule["cloud_scope"]),
        rule["scope_description"],
        rule["enabled"],
        rule["expires_at"],
    )


def _default_row(document: Document) -> RuleRow:
    action = describe_action(document["default"])
    return RuleRow(DEFAULT_RULE, len(document["rules"]) + 1, DEFAULT_NAME, action, ALL_CLOUDS, "All resources")
