"""The API's URLs of events and alerts, below /api/v1/."""

from __future__ import annotations

from django.urls import path

from drift.alerts.api.events import EventsView

app_name = "alerts-api"
urlpatterns = [
    path("sensors/me/events", EventsView.as_view(), name="events"),
]
