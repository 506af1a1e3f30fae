"""One alert: its summary on the left, and a tab on the right."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse

from accounts.models import User
from drift.alerts.domain.alert_wording import (
    ACCOUNT_KINDS,
    MAX_COUNT,
    REASONS,
    alert_description,
    registry_host,
    resource_kind,
)
from drift.alerts.domain.filters import ANY, Filters
from drift.alerts.domain.hash_sums import look_up_links
from drift.alerts.domain.kubectl import PodFile, inspection, isolate_commands
from drift.alerts.domain.priority_signals import START, contributions
from drift.alerts.domain.process_facts import ancestry, came_about, command_line, file_age, provenance_words
from drift.alerts.domain.scored_signals import ScoredSignals
from drift.alerts.models import Alert
from drift.alerts.queries import occurrences
from drift.alerts.queries.activities import visible_activities
from drift.alerts.queries.alert_json import explained_alert_json
from drift.alerts.queries.alert_list import open_alerts_of_cluster
from drift.alerts.queries.colleagues import assignable_users
from drift.alerts.queries.decision_trace import trace_steps
from drift.alerts.queries.exec_tree import exec_tree
from drift.alerts.queries.flood_status import flood_status
from drift.alerts.queries.pod_entries import entered_by, entered_by_json
from drift.web.requests import is_fragment, signed_in_user
from drift.web.responses import facts_etag

NOT_THE_PROGRAM = frozenset({"script", "loader", "library"})
"""Kinds whose process runs another program, which reads the file."""
TABS = (
    ("details", "Alert details"),
    ("why", "Why"),
    ("timeline", "Timeline"),
    ("tree", "Process tree"),
    ("action", "Take action"),
)


def detail(request: HttpRequest, pk: int) -> HttpResponse:
    """Show the page, with the tab that `tab` chooses; as a fragment, its body alone."""
    alert, tab = _alert(request, pk), request.GET.get("tab", "")
    context = _context(request, alert, tab if tab in TAB_CONTEXTS else TABS[0][0])
    return render(
        request, "alerts/detail/page.html#body" if is_fragment(request) else "alerts/detail/page.html", context
    )


def alert_download(request: HttpRequest, pk: int) -> HttpResponse:
    """Return the alert as the API does."""
    return JsonResponse(_json(request, _alert(request, pk)), json_dumps_params={"indent": 2})


def _json(request: HttpRequest, alert: Alert) -> dict[str, Any]:
    user = signed_in_user(request)
    return {**explained_alert_json(user, alert), "entered_by": entered_by_json(user, alert)}


def alert_live(request: HttpRequest, pk: int) -> HttpResponse:
    """Return what an open alert polls: 204 while its `etag` is current, 200 once the page should reload."""
    return HttpResponse(status=204 if request.GET.get("etag") == _etag(_alert(request, pk)) else 200)


def _alert(request: HttpRequest, pk: int) -> Alert:
    # Not the rule that suppressed it, which few have: PostgreSQL plans each join of every page anew.
    rows = Alert.objects.with_set_aside(signed_in_user(request)).select_related(
        "pulse", "detail", "binary", "workload", "sensor", "assignee", "cluster__environment"
    )
    alert: Alert = get_object_or_404(rows, pk=pk)
    return alert


def _etag(alert: Alert) -> str:
    return facts_etag(alert.pk, alert.revision, alert.pulse.count, alert.activities.count())


def _context(request: HttpRequest, alert: Alert, tab: str) -> dict[str, Any]:
    can_triage = signed_in_user(request).can_triage and alert.set_aside_at is None
    json = _json(request, alert)
    return {
        "alert": alert,
        "what": json["what"],
        "priority": json["priority"],
        "reasons": json["reasons"],
        "tab": tab,
        "tabs": TABS,
        "description": alert_description(
            alert.binary.kind, alert.outcome, alert.namespace, alert.cluster.name, alert.reason
        ),
        "resource_kind": resource_kind(alert.cluster.distribution, alert.cluster.kubernetes_version),
        "account_kind": ACCOUNT_KINDS[alert.cluster.environment.provider],
        "flood": flood_status(alert),
        "can_triage": can_triage,
        "people": _assignees(signed_in_user(request), alert) if can_triage else [],
        "json": json,
        "etag": _etag(alert),
        **TAB_CONTEXTS[tab](request, alert),
    }


def _assignees(user: User, alert: Alert) -> list[tuple[int, str]]:
    """Return whom the alert may be assigned to, and whom it is: they may not see it any more."""
    people = assignable_users(user, alert)
    if alert.assignee and alert.assignee.pk not in dict(people):
        people.append((alert.assignee.pk, alert.assignee.name))
    return people


def _details(request: HttpRequest, alert: Alert) -> dict[str, Any]:
    event = alert.detail.event
    return {
        "process": event["process"],
        "container": event["container"],
        "event": event,
        "ancestry": ancestry(event["process"]),
        "command_line": command_line(event["process"]),
        "file_age": file_age(event),
        "provenance": provenance_words(event["process"]),
        "came_about": came_about(event),
        "entered_by": entered_by(signed_in_user(request), alert),
        "registry": registry_host(alert.image_name),
        "same": _same(alert),
        "look_ups": look_up_links(settings.HASH_LOOKUP_URLS, event["process"].get("sha256")),
        "elsewhere": occurrences.other_sightings(signed_in_user(request), alert),
    }


def _same(alert: Alert) -> dict[str, str]:
    """Return the addresses of the lists of alerts, closed ones too, that have a fact of this one in common."""
    process = alert.detail.event["process"]
    facts = {
        "hash": alert.binary.sha256,
        "path": alert.path,
        "image": alert.image_name,
        "node": alert.detail.event.get("node", ""),
        "pod": alert.pod_name,
        "writer": (process.get("written_by") or {}).get("name", ""),
        "parent": (process.get("parent") or {}).get("name", ""),
    }
    base = reverse("alerts:list")
    return {name: f"{base}?{Filters(values={'status': (ANY,), name: (value,)}).query}" for name, value in facts.items()}


def _tree(request: HttpRequest, alert: Alert) -> dict[str, Any]:
    return {"around": exec_tree(signed_in_user(request), alert)}


def _why(request: HttpRequest, alert: Alert) -> dict[str, Any]:
    signals = ScoredSignals.read(alert.signals).seen(whole_estate=signed_in_user(request).scope.is_whole_estate)
    return {
        "start": START,
        "signals": contributions(signals),
        "steps": trace_steps(alert),
        "reason": REASONS[alert.reason],
    }


def _timeline(request: HttpRequest, alert: Alert) -> dict[str, Any]:
    return {
        "histogram": occurrences.histogram(alert),
        "events": occurrences.latest_events(signed_in_user(request), alert),
        "activities": visible_activities(signed_in_user(request), alert),
        "previous": alert.previous_id,
    }


def _action(request: HttpRequest, alert: Alert) -> dict[str, Any]:
    here = Filters(values={"cluster": (str(alert.cluster_id),)})
    listed = open_alerts_of_cluster(signed_in_user(request), alert.cluster_id)
    is_listed = alert.is_open and alert.set_aside_at is None
    file = _pod_file(alert)
    return {
        "others": max(0, listed - is_listed) if listed <= MAX_COUNT else listed,
        "listed": listed,
        "here": here.query,
        "inspection": [] if alert.sample else inspection(file),
        "isolate": [] if alert.sample else isolate_commands(file),
    }


def _pod_file(alert: Alert) -> PodFile:
    event = alert.detail.event
    container, is_in_pod = event["container"], bool(alert.namespace and alert.pod_name)
    return PodFile(
        namespace=alert.namespace,
        pod=alert.pod_name if is_in_pod else "",
        container=(container.get("name") or "").strip(),
        path=alert.path,
        is_fileless=alert.binary.kind == "fileless",
        node=event["node"],
        container_id=alert.container_id,
        runtime=(container.get("runtime") or "").partition(" ")[0],
        pid=event["process"].get("pid"),
        is_program=alert.binary.kind not in NOT_THE_PROGRAM,
    )


TAB_CONTEXTS = {"details": _details, "tree": _tree, "why": _why, "timeline": _timeline, "action": _action}
