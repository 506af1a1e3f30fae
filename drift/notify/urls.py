"""The pages of notifications."""

from __future__ import annotations

from django.urls import path

from drift.notify.views import notifications as views

app_name = "notify"
urlpatterns = [
    path("notifications/", views.inbox, name="inbox"),
    path("notifications/bell/", views.bell, name="bell"),
    path("notifications/read/", views.read, name="read"),
    path("notifications/settings/", views.configure, name="configure"),
    path("notifications/settings/webhooks/", views.webhook_add, name="webhook-add"),
    path("notifications/settings/webhooks/<int:pk>/remove/", views.webhook_remove, name="webhook-remove"),
    path("notifications/settings/webhooks/<int:pk>/test/", views.send_test, name="webhook-test"),
    path("notifications/settings/test/", views.send_test, name="mail-test"),
    path("notifications/settings/deliveries/<int:pk>/retry/", views.retry, name="retry"),
]
