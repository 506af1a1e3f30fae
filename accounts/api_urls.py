"""The API of accounts."""

from __future__ import annotations

from django.urls import path

from accounts.api.audit import AuditLogView

app_name = "accounts-api"
urlpatterns = [path("audit/", AuditLogView.as_view(), name="audit")]
