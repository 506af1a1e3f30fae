"""The page of forwarding to a SIEM."""

from __future__ import annotations

from django.urls import path

from drift.siem.views import destinations

app_name = "siem"
urlpatterns = [
    path("settings/siem/", destinations.destinations, name="destinations"),
    path("settings/siem/status/", destinations.destination_status, name="destination-status"),
    path("settings/siem/<int:pk>/switch/", destinations.switch, name="destination-switch"),
    path("settings/siem/<int:pk>/test/", destinations.send_test, name="destination-test"),
    path("settings/siem/<int:pk>/remove/", destinations.remove, name="destination-remove"),
]
