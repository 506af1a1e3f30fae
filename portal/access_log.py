"""One record a request, where ACCESS_LOG is on: route, status, time and caller, and nothing that may be a secret."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable

from django.conf import settings
from django.core.exceptions import MiddlewareNotUsed
from django.http import HttpRequest, HttpResponse

from accounts.client_address import client_address

logger = logging.getLogger(__name__)


class AccessLogMiddleware:
    """Logs each request once its response is made. Healthy probes are not logged: they would be most of the log."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        if not settings.ACCESS_LOG:
            raise MiddlewareNotUsed
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        began = time.monotonic()
        response = self.get_response(request)
        if request.path in ("/healthz", "/readyz") and response.status_code == 200:
            return response
        milliseconds = round((time.monotonic() - began) * 1_000)
        user, token = getattr(getattr(request, "user", None), "pk", None), getattr(request, "api_token", None)
        facts = {
            "method": request.method,
            "route": shown_route(request),
            "status": response.status_code,
            "milliseconds": milliseconds,
            "bytes": None if response.streaming else len(response.content),
            "user": user,
            "token": token.prefix if token else None,
            "address": client_address(request),
        }
        text = " ".join(f"{name}={'-' if value in (None, '') else value}" for name, value in facts.items())
        logger.info("%s", text, extra={"facts": facts})
        return response


def shown_route(request: HttpRequest) -> str:
    """Return the path without its query, and without arguments that are words: a one-time link's is a password."""
    match = request.resolver_match
    if match is None:
        return "-"
    route = f"/{match.route}"
    for name, value in match.kwargs.items():
        if isinstance(value, int | uuid.UUID):
            for converter in ("int", "uuid"):
                route = route.replace(f"<{converter}:{name}>", str(value))
    return route
