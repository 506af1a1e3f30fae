"""The fleet's API under /api/v1/."""

from __future__ import annotations

from django.urls import path

from drift.fleet.api import sensor

app_name = "fleet-api"
urlpatterns = [
    path("sensors/enrol", sensor.Enrol.as_view(), name="enrol"),
    path("sensors/me/policy", sensor.Policy.as_view(), name="policy"),
    path("sensors/me/policy/status", sensor.PolicyStatus.as_view(), name="policy-status"),
    path("sensors/me/heartbeat", sensor.Heartbeat.as_view(), name="heartbeat"),
    path("sensors/me/stream-ticket", sensor.StreamTicket.as_view(), name="stream-ticket"),
]
