"""The page of health notices."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from accounts.models import User
from accounts.queries.proxy_warnings import proxy_warning
from accounts.queries.storage_warnings import storage_warnings
from accounts.roles import Role
from drift.fleet.queries.environments import approver_warnings
from drift.fleet.queries.health import health_notices
from drift.web.requests import is_fragment, signed_in_user
from drift.web.responses import polled_fragment


def health(request: HttpRequest) -> HttpResponse:
    """The trouble that sensors have now; for htmx the notices alone."""
    user = signed_in_user(request)
    context = {"notices": health_notices(user), "warnings": _portal_warnings(user)}
    if is_fragment(request):
        return polled_fragment(request, "fleet/health.html#notices", context)
    return render(request, "fleet/health.html", context)


def _portal_warnings(user: User) -> list[str]:
    """Return what is wrong with the portal itself; its weaknesses are for those who administer it."""
    proxy = [proxy_warning()] if user.sees_whole_estate else []
    for_admins = [*storage_warnings(), *approver_warnings()] if user.has_role(Role.ADMIN) else []
    return [text for text in [*proxy, *for_admins] if text]
