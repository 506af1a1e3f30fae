"""The page of health, and the banner of what is dead."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from drift.health.actions.dead_parts import dead_parts, dead_parts_at_once
from drift.health.actions.health_report import health_report
from drift.health.domain.conditions import PARTS
from drift.web.requests import is_fragment, signed_in_user
from drift.web.responses import polled_fragment


def page(request: HttpRequest) -> HttpResponse:
    """Every condition: what holds now, what was not checked, and what is well; for htmx the findings alone."""
    report = health_report(signed_in_user(request))
    context = {"report": report, "parts": PARTS}
    if is_fragment(request):
        return polled_fragment(request, "health/page.html#findings", context)
    return render(request, "health/page.html", context)


def banner(request: HttpRequest) -> HttpResponse:
    """What is dead of the parts that distribute a version, for pages where versions are saved; empty where all live."""
    return polled_fragment(request, "health/banner.html", {"dead": dead_parts()})


def banner_context(_request: HttpRequest) -> dict[str, object]:
    """Give every template what the banner shows at first; only those with a banner call it."""
    return {"dead_parts": dead_parts_at_once}
