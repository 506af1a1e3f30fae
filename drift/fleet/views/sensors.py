"""A cluster's sensors, one sensor, and ending one."""

from __future__ import annotations

import uuid

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse

from drift.fleet.actions.sensors import release_sensor, revoke_sensor
from drift.fleet.models import Cluster, Sensor, SensorState
from drift.fleet.queries import sensors as reading
from drift.fleet.views.responses import confirm, user_of

LAST_DELIVERIES = 20
COUNTERS = (
    ("execs", "execs seen"),
    ("drifted", "drifted"),
    ("unresolved", "without an identity"),
    ("spooled", "waiting to be sent"),
    ("set_aside", "set aside"),
)
"""A heartbeat's counters and how they are said."""
ENDINGS = {
    "revoke": (
        revoke_sensor,
        "Revoke",
        "Its credential is refused for good, and its node cannot enrol until you release it.",
        "was revoked",
    ),
    "release": (
        release_sensor,
        "Release",
        "Its credential no longer counts, and its node may enrol afresh with an enrolment token.",
        "was released",
    ),
}
"""What ends a sensor: the action, its button, what it means, and how it is said afterwards."""


def cluster(request: HttpRequest, pk: int) -> HttpResponse:
    """The sensors of a cluster: live ones, or `?state=`; `?q=` searches by node, `?after=` is a place in the list."""
    row = get_object_or_404(Cluster.objects.visible_to(user_of(request)).select_related("environment"), pk=pk)
    query = request.GET.get("q", "").replace("\0", "")  # PostgreSQL takes none
    state = request.GET.get("state", "")
    state = state if state in SensorState.values else SensorState.LIVE.value
    context = {
        "cluster": row,
        "page": reading.cluster_sensors(user_of(request), row, state, query, request.GET.get("after", "")),
        "states": SensorState.choices,
        "state": state,
        "query": query,
    }
    return render(request, "fleet/cluster.html", context)


def sensor(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """What one sensor is, runs and counts."""
    row = _sensor(request, pk)
    deliveries = row.deliveries.select_related("rollout").order_by("-rollout__version_id")[:LAST_DELIVERIES]
    context = {
        "sensor": row,
        "deliveries": deliveries,
        "counter_names": COUNTERS,
        "unwatched": reading.unmonitored_kinds(row),
        "unable": reading.missing_abilities(row),
    }
    return render(request, "fleet/sensor.html", context)


def end(request: HttpRequest, pk: uuid.UUID, how: str) -> HttpResponse:
    """Ask, then revoke or release."""
    if how not in ENDINGS:
        raise Http404
    row = _sensor(request, pk)
    action, button, text, said = ENDINGS[how]
    if request.method == "POST":
        if action(user_of(request), row):
            messages.success(request, f"{row.node} {said}.")
        else:
            messages.warning(request, f"{row.node} had ended already; nothing was changed.")
        return redirect("fleet:sensor", pk=row.pk)
    return confirm(
        request,
        heading=f"{button} {row.node}?",
        text=text,
        action=reverse("fleet:sensor-end", args=[row.pk, how]),
        button=button,
    )


def _sensor(request: HttpRequest, pk: uuid.UUID) -> Sensor:
    return get_object_or_404(reading.visible_sensors(user_of(request)), pk=pk)
