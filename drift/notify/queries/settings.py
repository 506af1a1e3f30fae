"""The content of the notification settings page."""

from __future__ import annotations

from django.db.models import QuerySet

from drift.notify.models import MailSettings, NoticeDelivery, Webhook

LATEST = 50


def mail_settings() -> dict[str, object]:
    """Return the mail settings as initial values of their form: addresses one per line."""
    values = MailSettings.objects.values().get()
    return values | {"addresses": "\n".join(values["addresses"])}


def webhooks() -> QuerySet[Webhook]:
    """Return all webhooks by name."""
    return Webhook.objects.order_by("name")


def latest_deliveries() -> QuerySet[NoticeDelivery]:
    """Return the newest deliveries with their notices and webhooks."""
    return NoticeDelivery.objects.select_related("notice", "webhook").order_by("-pk")[:LATEST]
