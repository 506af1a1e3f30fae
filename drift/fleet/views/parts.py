"""Parts that other pages take in by URL, and the page of health notices."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from drift.fleet.queries.blocking_status import unable_to_block
from drift.fleet.queries.environments import environments_by_cloud
from drift.fleet.queries.health import health_notices
from drift.fleet.queries.rollouts import latest_rollout, progress
from drift.fleet.views.responses import is_htmx, live, user_of


def scope_tree(request: HttpRequest) -> HttpResponse:
    """Checkboxes `scope` for every cloud (`azure`) and environment (`azure:<account>`); `?selected=` ticks."""
    context = {"clouds": environments_by_cloud(user_of(request)), "selected": set(request.GET.getlist("selected"))}
    return render(request, "fleet/scope_tree.html", context)


def health(request: HttpRequest) -> HttpResponse:
    """What is wrong with sensors now. For htmx the live part alone."""
    context = {"notices": health_notices(user_of(request))}
    if is_htmx(request):
        return live(request, "fleet/health.html#notices", context)
    return render(request, "fleet/health.html", context)


def delivery_line(request: HttpRequest) -> HttpResponse:
    """How far the newest version has come, in one line."""
    rollout = latest_rollout(user_of(request))
    return live(request, "fleet/delivery_line.html", {"progress": progress(rollout) if rollout else None})


def unable_sensors(request: HttpRequest) -> HttpResponse:
    """Beside a rule whose `?action=` is `block`: which sensors will not do that. Nothing for another action.

    Opened by itself it is a page, whatever the action.
    """
    if not is_htmx(request):
        return render(request, "fleet/unable.html", {"found": unable_to_block(user_of(request))})
    found = unable_to_block(user_of(request)) if request.GET.get("action") == "block" else None
    return render(request, "fleet/unable_to_block.html", {"found": found})
