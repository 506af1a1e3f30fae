"""The page Environment settings, and the panels that open on it."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone

from accounts.models import User
from drift.fleet.forms.estate_filters import tree_filters
from drift.fleet.models import FleetState, Provider
from drift.fleet.queries.blocking_status import Acknowledgement, acknowledgement, online_unaware
from drift.fleet.queries.estate_tree import Trouble, estate_tree, tree_summary
from drift.fleet.queries.protection import switched_off
from drift.fleet.queries.resume_request import resume_requester
from drift.web.requests import is_fragment, signed_in_user
from drift.web.responses import polled_fragment


def settings(request: HttpRequest) -> HttpResponse:
    """The page; for htmx its tree alone."""
    context = settings_context(request)
    if is_fragment(request):
        if request.headers.get("HX-Trigger") == "list-tools":
            context["status"] = f"Showing {context['summary']}"
        return polled_fragment(request, "fleet/settings/page.html#estate", context)
    return render(request, "fleet/settings/page.html", context)


def settings_context(request: HttpRequest) -> dict[str, Any]:
    """Return the context of `fleet/settings/page.html`, with the tree that the request filters."""
    user, filters, state = signed_in_user(request), tree_filters(request), FleetState.objects.get()
    groups = estate_tree(user, filters)
    return {
        "filters": filters,
        "groups": groups,
        "summary": tree_summary(groups),
        "is_empty": not any(group.total for group in groups),
        "is_part": is_fragment(request),
        "can_edit": user.can_edit_policy,
        "clouds": Provider.choices,
        "troubles": Trouble.choices,
        "state": state,
        "switched_off": None if filters.retired else switched_off(user),
        "resume_asked_by": resume_requester(state),
        "acknowledgement": None if is_fragment(request) else _awaited_acknowledgement(user, state),
    }


def _awaited_acknowledgement(user: User, state: FleetState) -> Acknowledgement | None:
    """Return who knows that blocking is stopped, or was resumed; None once all that are online know the latter."""
    is_awaited = state.blocking_stopped or online_unaware(user, state, timezone.now()).exists()
    return acknowledgement(user, state) if is_awaited else None


def settings_panel(request: HttpRequest, panel: str, context: dict[str, Any], *, status: int = 200) -> HttpResponse:
    """Return a panel: alone for htmx, else the settings page with the panel open."""
    if is_fragment(request):
        return render(request, panel, context, status=status)
    page = settings_context(request) | {"panel_template": panel} | context
    return render(request, "fleet/settings/page.html", page, status=status)


def confirm_panel(request: HttpRequest, **context: Any) -> HttpResponse:
    """Return a confirmation panel: `heading`, `text`, `action`, `button`, optionally `lines`, `do`."""
    return settings_panel(request, "fleet/settings/confirm_panel.html", context)
