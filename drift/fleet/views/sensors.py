"""A cluster's sensors, one sensor, and its end."""

from __future__ import annotations

import uuid
from typing import Final

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone

from drift.fleet.actions.quarantine import lift_quarantine, quarantine_sensor
from drift.fleet.actions.sensors import release_sensor, revoke_sensor
from drift.fleet.forms.quarantine import CLEAN_UP, SINCE, chosen_time
from drift.fleet.models import Cluster, Sensor, SensorState
from drift.fleet.queries.sensors import (
    bundle_expiry,
    cluster_sensors,
    gaps,
    missing_abilities,
    rule_pauses,
    unmonitored_kinds,
    visible_sensors,
)
from drift.fleet.views.settings import confirm_panel
from drift.web.requests import signed_in_user

LAST_DELIVERIES: Final = 20
COUNTERS: Final = (
    ("execs", "execs seen"),
    ("drifted", "drifted"),
    ("unresolved", "without an identity"),
    ("spooled", "waiting to be sent"),
    ("set_aside", "rejected by the portal"),
)
"""A heartbeat's counters and their labels."""
ENDINGS: Final = {
    "revoke": (
        revoke_sensor,
        "Revoke",
        "Its credential is rejected permanently, and its node cannot enrol until you release it.",
        "was revoked",
    ),
    "release": (
        release_sensor,
        "Release",
        "Its credential becomes invalid, and its node can enrol again with an enrolment token.",
        "was released",
    ),
}
"""Each way to end a sensor: action, button, consequence, and result."""
CLEAN_UP_LABEL: Final = "Set aside the alerts that it opened"


QUARANTINE: Final = (
    "Alerts that only this sensor reported leave lists, counts, charts and notifications. "
    "It keeps its policy; what it sends is stored and marked. You can lift the quarantine."
)


def cluster(request: HttpRequest, pk: int) -> HttpResponse:
    """The sensors of a cluster: live ones, or `?state=`; `?q=` searches by node, `?after=` is the cursor."""
    user = signed_in_user(request)
    row = get_object_or_404(Cluster.objects.visible_to(user).select_related("environment"), pk=pk)
    query = request.GET.get("q", "").replace("\0", "")  # PostgreSQL rejects NUL.
    state = request.GET.get("state", "")
    state = state if state in SensorState.values else SensorState.LIVE.value
    context = {
        "cluster": row,
        "page": cluster_sensors(user, row, state, query, request.GET.get("after", "")),
        "states": SensorState.choices,
        "state": state,
        "query": query,
    }
    return render(request, "fleet/sensors/cluster.html", context)


def sensor(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """One sensor: its identity, policy and counters."""
    row = _sensor(request, pk)
    deliveries = row.deliveries.select_related("rollout").order_by("-rollout__version_id")[:LAST_DELIVERIES]
    context = {
        "sensor": row,
        "expires_at": bundle_expiry(row),
        "now": timezone.now(),
        "deliveries": deliveries,
        "counter_names": COUNTERS,
        "unmonitored": unmonitored_kinds(row),
        "missing": missing_abilities(row),
        "gaps": gaps(row),
        "pauses": rule_pauses(row),
    }
    return render(request, "fleet/sensors/sensor.html", context)


def end(request: HttpRequest, pk: uuid.UUID, how: str) -> HttpResponse:
    """Ask for confirmation, then revoke or release a sensor."""
    if how not in ENDINGS:
        raise Http404
    row, user = _sensor(request, pk), signed_in_user(request)
    action, button, text, result = ENDINGS[how]
    if request.method == "POST":
        since = chosen_time(request.POST.get("since", ""))
        if since is not None and quarantine_sensor(user, row, since):
            messages.success(request, f"The alerts of {row.node} are being set aside.")
        if action(user, row):
            messages.success(request, f"{row.node} {result}.")
        else:
            messages.warning(request, f"{row.node} had already ended; nothing was changed.")
        return redirect("fleet:sensor", pk=row.pk)
    return confirm_panel(
        request,
        heading=f"{button} {row.node}?",
        text=text,
        action=reverse("fleet:sensor-end", args=[row.pk, how]),
        button=button,
        choices=CLEAN_UP if row.quarantined_at is None else (),
        label=CLEAN_UP_LABEL,
    )


def quarantine(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """Ask for confirmation, then put a sensor in quarantine, or lift the quarantine of one."""
    row, user = _sensor(request, pk), signed_in_user(request)
    lift = row.quarantined_at is not None
    if request.method == "POST":
        # The panel says what it does: a second click, or a colleague's, must not do the opposite.
        wanted = request.POST.get("do", "")
        if wanted == "lift" and lift_quarantine(user, row):
            messages.success(request, f"The alerts of {row.node} are being brought back.")
        elif wanted == "quarantine" and quarantine_sensor(user, row, chosen_time(request.POST.get("since", "now"))):
            messages.success(request, f"{row.node} is in quarantine.")
        else:
            messages.warning(request, "Somebody else changed it; nothing was changed.")
        return redirect("fleet:sensor", pk=row.pk)
    what = "Lift the quarantine of" if lift else "Quarantine"
    return confirm_panel(
        request,
        heading=f"{what} {row.node}?",
        text="Its alerts return to lists, counts and charts, and its events open alerts again." if lift else QUARANTINE,
        action=reverse("fleet:sensor-quarantine", args=[row.pk]),
        button="Lift quarantine" if lift else "Quarantine",
        do="lift" if lift else "quarantine",
        choices=() if lift else SINCE,
        label="Alerts to set aside",
    )


def _sensor(request: HttpRequest, pk: uuid.UUID) -> Sensor:
    return get_object_or_404(visible_sensors(signed_in_user(request)), pk=pk)
