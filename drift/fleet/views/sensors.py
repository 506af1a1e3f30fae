"""A cluster's sensors, one sensor, and its end."""

from __future__ import annotations

import uuid
from typing import Final

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse

from drift.fleet.actions.sensors import release_sensor, revoke_sensor
from drift.fleet.models import Cluster, Sensor, SensorState
from drift.fleet.queries.sensors import cluster_sensors, gaps, missing_abilities, unmonitored_kinds, visible_sensors
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
        "deliveries": deliveries,
        "counter_names": COUNTERS,
        "unmonitored": unmonitored_kinds(row),
        "missing": missing_abilities(row),
        "gaps": gaps(row),
    }
    return render(request, "fleet/sensors/sensor.html", context)


def end(request: HttpRequest, pk: uuid.UUID, how: str) -> HttpResponse:
    """Ask for confirmation, then revoke or release a sensor."""
    if how not in ENDINGS:
        raise Http404
    row = _sensor(request, pk)
    action, button, text, result = ENDINGS[how]
    if request.method == "POST":
        if action(signed_in_user(request), row):
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
    )


def _sensor(request: HttpRequest, pk: uuid.UUID) -> Sensor:
    return get_object_or_404(visible_sensors(signed_in_user(request)), pk=pk)
