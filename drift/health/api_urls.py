"""Health's API under /api/v1/."""

from __future__ import annotations

from django.urls import path

from drift.health.api import health

app_name = "health-api"
urlpatterns = [path("health/", health.HealthView.as_view(), name="health")]
