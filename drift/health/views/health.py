"""The page of health, and the banner of what is dead."""

from __future__ import annotations

from typing import Final

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from drift.health.actions.health_report import health_report
from drift.health.actions.portal_checks import redis_checks
from drift.health.domain.conditions import BY_CODE, PARTS
from drift.web.requests import is_fragment, signed_in_user
from drift.web.responses import polled_fragment

DISTRIBUTE: Final = ("redis", "worker", "beat", "gateway")
"""Without these a saved version does not reach sensors as it should."""


def page(request: HttpRequest) -> HttpResponse:
    """Every condition: what holds now, what was not checked, and what is well; for htmx the findings alone."""
    report = health_report(signed_in_user(request))
    context = {"report": report, "parts": PARTS}
    if is_fragment(request):
        return polled_fragment(request, "health/page.html#findings", context)
    return render(request, "health/page.html", context)


def banner(request: HttpRequest) -> HttpResponse:
    """What is dead of the parts that distribute a version, for pages where versions are saved; empty where all live."""
    found = redis_checks()
    dead = [(BY_CODE[code], found[code]) for code in DISTRIBUTE if found[code].state == "failing"]
    return polled_fragment(request, "health/banner.html", {"dead": dead})
