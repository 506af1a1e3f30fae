"""What the fleet's views share."""

from __future__ import annotations

import hashlib
import re
from typing import Any, cast

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.cache import get_conditional_response

from accounts.models import User
from drift.fleet.forms.estate_filters import tree_filters
from drift.fleet.models import FleetState, Provider
from drift.fleet.queries.blocking_status import acknowledgement
from drift.fleet.queries.estate_tree import Trouble, estate_tree, tree_summary

UNPROCESSABLE = 422
_CSRF = re.compile(rb'(name="csrfmiddlewaretoken" value=")[^"]*')


def user_of(request: HttpRequest) -> User:
    """The signed-in user; the access table lets nobody else through."""
    return cast("User", request.user)


def is_htmx(request: HttpRequest) -> bool:
    """Whether a part is asked for rather than a page."""
    return request.headers.get("HX-Request") == "true"


def live(request: HttpRequest, template: str, context: dict[str, Any]) -> HttpResponse:
    """A part that polls: 304 where it is what the browser shows. CSRF values, new in each answer, do not count."""
    response = render(request, template, context)
    etag = hashlib.sha256(_CSRF.sub(rb"\1", response.content)).hexdigest()[:32]
    response["ETag"] = f'"{etag}"'
    return cast("HttpResponse", get_conditional_response(request, etag=f'"{etag}"', response=response))


def settings_context(request: HttpRequest) -> dict[str, Any]:
    """What `fleet/settings.html` needs; the request says what to show of the tree."""
    asked = tree_filters(request)
    groups = estate_tree(user_of(request), asked)
    return {
        "asked": asked,
        "groups": groups,
        "summary": tree_summary(groups),
        "is_empty": not any(group.total for group in groups),
        "is_part": is_htmx(request),
        "can_edit": user_of(request).can_edit_policy,
        "clouds": Provider.choices,
        "troubles": Trouble.choices,
        **blocking_context(),
    }


def blocking_context() -> dict[str, Any]:
    """The fleet's switch, and who has obeyed it where blocking is stopped."""
    state = FleetState.objects.get()
    return {"state": state, "obedience": acknowledgement(state) if state.blocking_stopped else None}


def on_settings(request: HttpRequest, panel: str, context: dict[str, Any], *, status: int = 200) -> HttpResponse:
    """A panel: alone for htmx, else the settings page with the panel open."""
    if is_htmx(request):
        return render(request, panel, context, status=status)
    page = settings_context(request) | {"panel_template": panel} | context
    return render(request, "fleet/settings.html", page, status=status)


def confirm(request: HttpRequest, **context: Any) -> HttpResponse:
    """Ask before something that is hard to undo: heading, text, action, and lines to think about."""
    return on_settings(request, "fleet/confirm_panel.html", context)
