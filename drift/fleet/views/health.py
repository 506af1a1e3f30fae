"""The page of health notices."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from drift.fleet.queries.health import health_notices
from drift.web.requests import is_fragment, signed_in_user
from drift.web.responses import polled_fragment


def health(request: HttpRequest) -> HttpResponse:
    """The trouble that sensors have now; for htmx the notices alone."""
    context = {"notices": health_notices(signed_in_user(request))}
    if is_fragment(request):
        return polled_fragment(request, "fleet/health.html#notices", context)
    return render(request, "fleet/health.html", context)
