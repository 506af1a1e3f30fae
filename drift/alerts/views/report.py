"""A report of an alert and its incident to print or hand on: one page without scripts."""

from __future__ import annotations

from typing import Final

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils import timezone

from drift.alerts.domain.alert_wording import ACCOUNT_KINDS, REASONS
from drift.alerts.domain.process_facts import ancestry, came_about, command_line, file_age, provenance_words
from drift.alerts.models import Alert
from drift.alerts.queries.activities import visible_activities
from drift.alerts.queries.alert_json import RELATED, alert_json
from drift.alerts.queries.decision_trace import trace_steps
from drift.alerts.queries.exec_tree import exec_tree
from drift.alerts.queries.pod_entries import entered_by
from drift.web.requests import signed_in_user

MAX_RELATED: Final = 100
"""Alerts of the incident that the report lists, the earliest first."""


def report(request: HttpRequest, pk: int) -> HttpResponse:
    """Show what the alert's tabs show, all at once, and the other alerts of its incident that the user sees."""
    user = signed_in_user(request)
    seen = Alert.objects.with_set_aside(user).select_related(*RELATED, "sensor", "suppressed_by")
    alert = get_object_or_404(seen, pk=pk)
    event = alert.detail.event
    context = {
        "alert": alert,
        "facts": alert_json(user, alert),
        "event": event,
        "process": event["process"],
        "container": event["container"],
        "ancestry": ancestry(event["process"]),
        "command_line": command_line(event["process"]),
        "file_age": file_age(event),
        "provenance": provenance_words(event["process"]),
        "came_about": came_about(event),
        "entered_by": entered_by(user, alert),
        "account_kind": ACCOUNT_KINDS[alert.cluster.environment.provider],
        "reason": REASONS[alert.reason],
        "steps": trace_steps(alert),
        "activities": reversed(visible_activities(user, alert)),
        "around": exec_tree(user, alert),
        "related": _incident(request, alert),
        "most_related": MAX_RELATED,
        "written_at": timezone.now(),
    }
    return render(request, "alerts/report/page.html", context)


def _incident(request: HttpRequest, alert: Alert) -> list[Alert]:
    if alert.incident_id is None:
        return []
    found = Alert.objects.visible_to(signed_in_user(request)).filter(incident=alert.incident_id).exclude(pk=alert.pk)
    related = found.select_related("pulse", "binary", "workload").order_by("first_seen", "pk")
    return list(related[: MAX_RELATED + 1])
