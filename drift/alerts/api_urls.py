"""The API's URLs of events and alerts, below /api/v1/."""

from __future__ import annotations

from django.urls import path

from drift.alerts.api.alerts import AlertsView, AlertView, StatusView
from drift.alerts.api.events import EventsView
from drift.alerts.api.execs import ExecsView
from drift.alerts.api.known_files import KnownFilesView, LookUpFilesView
from drift.alerts.api.kubernetes_audit import KubernetesAuditView

app_name = "alerts-api"
urlpatterns = [
    path("alerts/", AlertsView.as_view(), name="alerts"),
    path("alerts/<int:pk>/", AlertView.as_view(), name="alert"),
    path("alerts/status/", StatusView.as_view(), name="status"),
    path("known-files/", KnownFilesView.as_view(), name="known-files"),
    path("known-files/look-up/", LookUpFilesView.as_view(), name="known-files-look-up"),
    path("clusters/<int:pk>/kubernetes-audit/", KubernetesAuditView.as_view(), name="kubernetes-audit"),
    path("sensors/me/events", EventsView.as_view(), name="events"),
    path("sensors/me/execs", ExecsView.as_view(), name="execs"),
]
