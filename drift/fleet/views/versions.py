"""The page of the sensors' versions."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from drift.fleet.queries.sensor_versions import portal_release, sensor_versions
from drift.web.requests import signed_in_user


def versions(request: HttpRequest) -> HttpResponse:
    """Show which versions run on how many sensors, and which need an upgrade."""
    context = {"versions": sensor_versions(signed_in_user(request)), "portal": portal_release()}
    return render(request, "fleet/versions.html", context)
