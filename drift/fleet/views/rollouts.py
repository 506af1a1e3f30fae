"""Rollouts: the list, and one with its sensors."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render

from drift.fleet.actions.rollback import rollback_target
from drift.fleet.models import DeliveryState, Rollout
from drift.fleet.queries import rollouts as reading
from drift.fleet.views.responses import is_htmx, live, user_of

LISTED = 50
DIGITS = 9
"""Of a version's number; more than any has."""


def listed(request: HttpRequest) -> HttpResponse:
    """The newest versions, or those before number `?before=`, and how far each came."""
    number = request.GET.get("before", "")
    before = int(number) if number.isascii() and number.isdigit() and len(number) <= DIGITS else None
    rows, older = reading.newest(user_of(request), before, LISTED)
    lines = list(zip(rows, reading.progress_of(rows), strict=True))
    return render(request, "fleet/rollouts.html", {"lines": lines, "older": older, "is_later": before is not None})


def rollout(request: HttpRequest, number: int) -> HttpResponse:
    """One rollout; `?state=` filters its sensors, `?after=` is a place among them. For htmx the live part alone."""
    rows = Rollout.objects.visible_to(user_of(request)).select_related("version__author").defer("version__document")
    row = get_object_or_404(rows, version_id=number)
    state = request.GET.get("state", "")
    progress = reading.progress(row)
    context = {
        "rollout": row,
        "progress": progress,
        "milestones": reading.milestones(row, progress.total),
        "states": [(value, label, progress.by_state.get(value, 0)) for value, label in DeliveryState.choices],
        "state": state,
        "wave": len(row.waves) - row.waves_left + 1,
        "before": rollback_target(number) if reading.is_newest(row) else None,
        "page": reading.deliveries(row, state, request.GET.get("after", "")),
    }
    if is_htmx(request):
        return live(request, "fleet/rollout.html#progress", context)
    return render(request, "fleet/rollout.html", context)
