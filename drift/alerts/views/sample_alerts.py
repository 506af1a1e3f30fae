"""Sample alerts, to try triage with."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from drift.alerts.actions.sample_alerts import make_samples
from drift.alerts.errors import Invalid
from drift.web.requests import signed_in_user


def create(request: HttpRequest) -> HttpResponse:
    """Create sample alerts and show them."""
    try:
        created = make_samples(signed_in_user(request))
    except Invalid as error:
        messages.error(request, str(error.detail))
        return redirect("alerts:list")
    messages.success(request, f"{len(created)} sample alerts created. Dismiss them when you are done.")
    return redirect("/alerts/?sample=yes")
