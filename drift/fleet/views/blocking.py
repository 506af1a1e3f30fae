"""The switch of all blocking, who acknowledged it, and the sensors that cannot block."""

from __future__ import annotations

import uuid
from typing import Final

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse

from drift.fleet.actions.blocking_switch import Resumption, resume_blocking, stop_all_blocking
from drift.fleet.forms.blocking import StopForm
from drift.fleet.models import FleetState
from drift.fleet.queries.blocking_status import acknowledgement, unable_to_block, unacknowledged_sensors
from drift.fleet.queries.protection import blocking_reach, blocking_rule_names, switched_off
from drift.fleet.queries.resume_request import needs_second_person
from drift.fleet.views.settings import confirm_panel, settings_panel
from drift.policy.queries.versions import latest_version
from drift.web.requests import is_fragment, signed_in_user
from drift.web.responses import UNPROCESSABLE, polled_fragment

PAGE: Final = 100


def switch(request: HttpRequest) -> HttpResponse:
    """Ask for confirmation, then stop (`do=stop`) or resume (`do=resume`) all blocking."""
    if request.method == "POST":
        stopped = {"stop": True, "resume": False}.get(request.POST.get("do", ""))
        if stopped is None:  # An incomplete form must not switch anything.
            return HttpResponse("Choose stop or resume: nothing was changed.", "text/plain", UNPROCESSABLE)
        form = StopForm(request.POST)
        if stopped and not form.is_valid():
            return _stop_panel(request, form, UNPROCESSABLE)
        if stopped:
            was_stopped = not stop_all_blocking(signed_in_user(request), form.cleaned_data["reason"])
            messages.success(request, "Blocking stays stopped." if was_stopped else "All blocking was stopped.")
        elif resume_blocking(signed_in_user(request)) is Resumption.RESUMED:
            messages.success(request, "Blocking was resumed.")
        elif FleetState.objects.get().blocking_stopped:
            messages.info(request, "You asked to resume blocking. Another Security Admin must resume it too.")
        return redirect("fleet:environment-settings")
    state = FleetState.objects.get()
    if not state.blocking_stopped:
        return _stop_panel(request, StopForm())
    if needs_second_person(signed_in_user(request), state):
        text = "This takes two people: blocking resumes once another Security Admin resumes it too, within a day."
        return _switch_panel(request, "Ask to resume blocking?", text, "Ask to resume", "resume")
    text = "Sensors follow the policy's blocking rules again within seconds."
    return _switch_panel(request, "Resume blocking?", text, "Resume blocking", "resume")


def _stop_panel(request: HttpRequest, form: StopForm, status: int = 200) -> HttpResponse:
    context = {"form": form, "reach": blocking_reach(signed_in_user(request))}
    return settings_panel(request, "fleet/blocking/stop_panel.html", context, status=status)


def _switch_panel(request: HttpRequest, heading: str, text: str, button: str, do: str) -> HttpResponse:
    action = reverse("fleet:blocking")
    return confirm_panel(request, heading=heading, text=text, action=action, button=button, do=do)


def note(request: HttpRequest) -> HttpResponse:
    """Show, on pages that include it, that blocking is stopped or environments are off; empty while all is on."""
    state = FleetState.objects.get()
    context: dict[str, object] = {"state": state, "switched_off": switched_off(signed_in_user(request))}
    if state.blocking_stopped:
        context["rules"] = blocking_rule_names(latest_version().document)
    return polled_fragment(request, "fleet/blocking/note.html", context)


def sensors(request: HttpRequest) -> HttpResponse:
    """How many sensors acknowledged the switch, and which have not; `?after=` is the sensor before the page."""
    state = FleetState.objects.get()
    after = _sensor_id(request.GET.get("after", ""))
    rows = list(unacknowledged_sensors(signed_in_user(request), state, after)[: PAGE + 1])
    context = {
        "state": state,
        "acknowledgement": acknowledgement(signed_in_user(request), state),
        "sensors": rows[:PAGE],
        "after": after,
        "next": rows[PAGE - 1].pk if len(rows) > PAGE else None,
    }
    if is_fragment(request):
        return polled_fragment(request, "fleet/blocking/sensors.html#sensors", context)
    return render(request, "fleet/blocking/sensors.html", context)


def unable(request: HttpRequest) -> HttpResponse:
    """For the rule panel, the sensors that cannot block if `?action=` is `block`; otherwise a page of its own."""
    if not is_fragment(request):
        return render(request, "fleet/blocking/unable.html", {"unable": unable_to_block(signed_in_user(request))})
    is_blocking = request.GET.get("action") == "block"
    context = {
        "unable": unable_to_block(signed_in_user(request)) if is_blocking else None,
        "stopped": FleetState.objects.get() if is_blocking else None,
    }
    return render(request, "fleet/blocking/unable_fragment.html", context)


def _sensor_id(text: str) -> uuid.UUID | None:
    """None for anything else: then the list starts at its beginning."""
    try:
        return uuid.UUID(text)
    except ValueError:
        return None
