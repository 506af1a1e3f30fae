"""The routes of alerts: what the portal has, and which have something to send."""

from __future__ import annotations

from django.db.models import QuerySet

from drift.notify.models import AlertRoute, Kind, PendingNotice


def alert_routes() -> QuerySet[AlertRoute]:
    """Return all routes by name, with their webhooks."""
    return AlertRoute.objects.prefetch_related("webhooks").order_by("name")


def pending_routes() -> list[AlertRoute]:
    """Return the routes with pending notices, whether held back or not."""
    keys = PendingNotice.objects.filter(kind=Kind.ROUTE).values_list("key", flat=True).distinct()
    numbers = {int(number) for key in keys if (number := key.partition(" ")[0]).isdecimal()}
    return list(AlertRoute.objects.filter(pk__in=numbers).prefetch_related("webhooks").order_by("pk"))
