"""The pages of notifications."""

from __future__ import annotations

from django.urls import path

from drift.notify.views import inbox, settings

app_name = "notify"
urlpatterns = [
    path("notifications/", inbox.inbox, name="inbox"),
    path("notifications/bell/", inbox.bell, name="bell"),
    path("notifications/read/", inbox.read, name="read"),
    path("notifications/settings/", settings.configure, name="configure"),
    path("notifications/settings/webhooks/", settings.webhook_add, name="webhook-add"),
    path("notifications/settings/webhooks/<int:pk>/remove/", settings.webhook_remove, name="webhook-remove"),
    path("notifications/settings/webhooks/<int:pk>/test/", settings.send_test, name="webhook-test"),
    path("notifications/settings/test/", settings.send_test, name="mail-test"),
    path("notifications/settings/deliveries/<int:pk>/retry/", settings.retry, name="retry"),
]
