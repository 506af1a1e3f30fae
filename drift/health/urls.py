"""The pages of health."""

from __future__ import annotations

from django.urls import path

from drift.health.views import health

app_name = "health"
urlpatterns = [
    path("settings/health/", health.page, name="page"),
    path("settings/health/banner/", health.banner, name="banner"),
]
