"""One alert: the summary on the left, and a tab on the right."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, render

from drift.alerts.models import OPEN, Alert
from drift.alerts.queries import alert_details as presenting
from drift.alerts.queries import alert_list as listing
from drift.alerts.queries import occurrences
from drift.alerts.queries.filter_pills import people
from drift.alerts.queries.filters import Filters
from drift.alerts.views.shared import etag_of, is_htmx, user_of

TABS = (("details", "Alert details"), ("why", "Why"), ("timeline", "Timeline"), ("action", "Take action"))


def _alert(request: HttpRequest, pk: int) -> Alert:
    rows = Alert.objects.visible_to(user_of(request)).select_related(
        "pulse", "detail", "binary", "workload", "sensor", "assignee", "suppressed_by", "cluster__environment"
    )
    alert: Alert = get_object_or_404(rows, pk=pk)
    return alert


def detail(request: HttpRequest, pk: int) -> HttpResponse:
    """The page; with htmx its body alone. `tab` chooses the tab."""
    alert = _alert(request, pk)
    tab = request.GET.get("tab", "")
    context = _context(request, alert, tab if tab in dict(TABS) else TABS[0][0])
    return render(request, "alerts/detail/page.html#body" if is_htmx(request) else "alerts/detail/page.html", context)


def _context(request: HttpRequest, alert: Alert, tab: str) -> dict[str, Any]:
    return {
        "alert": alert,
        "tab": tab,
        "tabs": TABS,
        "description": presenting.description(alert),
        "resource_kind": presenting.resource_kind(alert),
        "account_kind": presenting.PROVIDERS[alert.cluster.environment.provider],
        "can_triage": user_of(request).can_triage,
        "people": people() if user_of(request).can_triage else [],
        "json": presenting.explained(alert),
        "etag": _etag(alert),
        **TAB_CONTEXT[tab](request, alert),
    }


def _details(request: HttpRequest, alert: Alert) -> dict[str, Any]:
    event = alert.detail.event
    return {
        "process": event["process"],
        "container": event["container"],
        "event": event,
        "ancestry": presenting.ancestry(event["process"]),
        "command_line": presenting.command_line(alert.detail),
        "written_earlier": presenting.written_earlier(event),
        "registry": presenting.registry(alert.image_name),
        "elsewhere": occurrences.elsewhere(user_of(request), alert),
    }


def _why(request: HttpRequest, alert: Alert) -> dict[str, Any]:
    return {"steps": presenting.steps(alert), "because": presenting.REASONS[alert.reason]}


def _timeline(request: HttpRequest, alert: Alert) -> dict[str, Any]:
    return {
        "histogram": occurrences.histogram(alert),
        "events": occurrences.latest_events(user_of(request), alert),
        "activities": alert.activities.select_related("actor").order_by("-id"),
        "previous": alert.previous_id,
    }


def _action(request: HttpRequest, alert: Alert) -> dict[str, Any]:
    here = Filters(values={"cluster": (str(alert.cluster_id),)})
    others = listing.alerts_of(user_of(request), here).filter(status__in=OPEN).exclude(pk=alert.pk)
    return {"commands": presenting.kubectl(alert), "others": listing.bounded_count(others), "here": here.query}


TAB_CONTEXT = {"details": _details, "why": _why, "timeline": _timeline, "action": _action}


def alert_json(request: HttpRequest, pk: int) -> HttpResponse:
    """The alert as the API gives it."""
    return JsonResponse(presenting.explained(_alert(request, pk)), json_dumps_params={"indent": 2})


def alert_live(request: HttpRequest, pk: int) -> HttpResponse:
    """What an open alert polls: 204 while it is as `etag` says, 200 once it changed and is worth loading again."""
    return HttpResponse(status=204 if request.GET.get("etag") == _etag(_alert(request, pk)) else 200)


def _etag(alert: Alert) -> str:
    return etag_of(alert.pk, alert.revision, alert.pulse.count, alert.activities.count())
