"""The page on which an Admin chooses where alerts are forwarded."""

from __future__ import annotations

from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from drift.siem.actions import destinations as actions
from drift.siem.errors import DestinationNameTaken, DestinationRejected
from drift.siem.forms.destination import DestinationForm
from drift.siem.queries.destinations import destination_statuses
from drift.web.requests import signed_in_user
from drift.web.responses import UNPROCESSABLE, polled_fragment


def destinations(request: HttpRequest) -> HttpResponse:
    """Show the destinations; POST adds one."""
    form = DestinationForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        values = dict(form.cleaned_data)
        from_start = values.pop("from_start")
        try:
            actions.add_destination(signed_in_user(request), values, from_start=from_start)
        except DestinationNameTaken as error:
            form.add_error("name", str(error))
        except DestinationRejected as error:
            form.add_error("transport", str(error))
        else:
            messages.success(request, "Destination added.")
            return redirect("siem:destinations")
    context = {"form": form, "statuses": destination_statuses(), "directory": settings.SIEM_DIRECTORY}
    return render(request, "siem/destinations.html", context, status=UNPROCESSABLE if form.errors else 200)


def destination_status(request: HttpRequest) -> HttpResponse:
    """Show the destinations' table alone, while the page is open."""
    return polled_fragment(request, "siem/destinations.html#table", {"statuses": destination_statuses()})


def switch(request: HttpRequest, pk: int) -> HttpResponse:
    """Pause or resume a destination."""
    enabled = request.POST.get("enabled") == "true"
    if not actions.switch_destination(signed_in_user(request), pk, enabled=enabled):
        raise Http404
    messages.success(request, "Forwarding resumed." if enabled else "Forwarding paused.")
    return redirect("siem:destinations")


def send_test(request: HttpRequest, pk: int) -> HttpResponse:
    """Send a destination a test record."""
    if not actions.request_test(signed_in_user(request), pk):
        raise Http404
    messages.success(request, "Test queued. Its result shows below in a moment.")
    return redirect("siem:destinations")


def remove(request: HttpRequest, pk: int) -> HttpResponse:
    """Remove a destination."""
    if not actions.remove_destination(signed_in_user(request), pk):
        raise Http404
    messages.success(request, "Destination removed.")
    return redirect("siem:destinations")
