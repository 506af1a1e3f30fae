"""The front door and the health checks."""

from __future__ import annotations

import sys
from typing import Final

from django.db import connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.template.loader import get_template

from portal.log_filters import is_away

RETRY_AFTER: Final = 5
"""Seconds after which a program may ask again; a restarted PostgreSQL is back within one."""


def home(request: HttpRequest) -> HttpResponse:
    """To the page that people come for; the access table sends strangers to sign in."""
    return redirect("fleet:environment-settings")


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """A program gets the API's error shape, a person a page."""
    if request.path.startswith("/api/"):
        return JsonResponse({"code": "not_found", "message": "There is nothing at this address."}, status=404)
    return render(request, "404.html", status=404)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """403 in the site's own look; Django's page brings a style of its own, which the policy for content refuses."""
    message = "This form is out of date, or your browser keeps no cookies. Load the page again."
    if request.path.startswith("/api/"):
        return JsonResponse({"code": "forbidden", "message": message}, status=403)
    return render(request, "403.html", {"exception": message}, status=403)


def server_error(request: HttpRequest) -> HttpResponse:
    """500; 503 where what failed is the database, whoever asked it: sensors and programs come again after a while.

    Called by Django while the exception is handled. Asks nothing of the database itself.
    """
    if not is_away(sys.exc_info()[1]):
        return _broken(request, 500, "error", "Something broke. It has been logged.")
    answer = _broken(request, 503, "unavailable", "The database cannot be reached just now. Try again shortly.")
    answer["Retry-After"] = str(RETRY_AFTER)
    return answer


def _broken(request: HttpRequest, status: int, code: str, message: str) -> HttpResponse:
    if request.path.startswith("/api/"):
        return JsonResponse({"code": code, "message": message}, status=status)
    return HttpResponse(get_template(f"{status}.html").render(), status=status)


def healthz(request: HttpRequest) -> HttpResponse:
    """The process answers."""
    return JsonResponse({"status": "ok"})


def readyz(request: HttpRequest) -> HttpResponse:
    """The process answers and its database does."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return JsonResponse({"status": "ready"})
