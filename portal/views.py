"""The home redirect, error responses and health checks."""

from __future__ import annotations

import sys
from typing import Final

from django.core.exceptions import BadRequest
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.template.loader import get_template
from django.views import defaults

from drift.health.actions.readiness import readiness
from drift.health.domain.conditions import ROLES
from portal.log_filters import is_database_unavailable

RETRY_AFTER: Final = 5
"""Seconds after which a client may retry; PostgreSQL restarts within one."""


def home(request: HttpRequest) -> HttpResponse:
    """Redirect to the main page. The permission table sends users who are not signed in to sign in."""
    return redirect("fleet:environment-settings")


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """400 with what is wrong, where a view says so; Django's own for a request that it does not trust at all."""
    if not isinstance(exception, BadRequest):
        return defaults.bad_request(request, exception)
    return render(request, "400.html", {"message": str(exception)}, status=400)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """404: a page, or for the API an error in its format."""
    if request.path.startswith("/api/"):
        return JsonResponse({"code": "not_found", "message": "This URL does not exist."}, status=404)
    return render(request, "404.html", status=404)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """403 in the style of our pages: Django's own has inline styles, which the content security policy blocks."""
    message = "This form has expired, or your browser blocks cookies. Reload the page."
    if request.path.startswith("/api/"):
        return JsonResponse({"code": "forbidden", "message": message}, status=403)
    return render(request, "403.html", {"exception": message}, status=403)


def server_error(request: HttpRequest) -> HttpResponse:
    """500, or 503 if the database is unavailable, so that sensors and API clients retry.

    Django calls this while it handles the exception. It must not query the database itself.
    """
    if not is_database_unavailable(sys.exc_info()[1]):
        return _error_response(request, 500, "error", "Something went wrong. The error has been logged.")
    answer = _error_response(request, 503, "unavailable", "The database is unavailable. Try again in a moment.")
    answer["Retry-After"] = str(RETRY_AFTER)
    return answer


def _error_response(request: HttpRequest, status: int, code: str, message: str) -> HttpResponse:
    if request.path.startswith("/api/"):
        return JsonResponse({"code": code, "message": message}, status=status)
    return HttpResponse(get_template(f"{status}.html").render(), status=status)


def healthz(request: HttpRequest) -> HttpResponse:
    """200 while the process responds."""
    return JsonResponse({"status": "ok"})


def readyz(request: HttpRequest) -> HttpResponse:
    """200 while all parts of the portal work, else 503; a line for each, without names or errors.

    With `?role=web` (or gateway, worker, beat) only what that process needs: web serves pages and ingest without a
    worker, so a dead worker must not take it out of service.
    """
    role = request.GET.get("role", "")
    if role and role not in ROLES:
        return JsonResponse({"code": "invalid", "message": f"role must be one of {', '.join(ROLES)}."}, status=400)
    found = readiness(role)
    ready = all(outcome.state != "failing" for outcome in found.values())
    checks = {code: ": ".join(filter(None, (each.state, each.detail))) for code, each in found.items()}
    body = {"status": "ready" if ready else "not ready", "checks": checks}
    return JsonResponse(body, status=200 if ready else 503, json_dumps_params={"indent": 1})
