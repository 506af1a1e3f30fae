"""Whether the flood that an alert counts goes on, and its limit."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from django.conf import settings
from django.utils import timezone

from drift.alerts.domain.flood_limits import SENSOR, WINDOW
from drift.alerts.models import Alert, AlertBudget


@dataclass(frozen=True)
class FloodStatus:
    """`since` is None once files get alerts of their own again: at `ends_at`, unless more exceed the limit."""

    limit: int
    since: dt.datetime | None
    ends_at: dt.datetime | None


def flood_status(alert: Alert) -> FloodStatus | None:
    """Return the state of an alert's flood; None for any other alert."""
    if not alert.is_flood:
        return None
    key = alert.container_id if alert.is_container_flood else SENSOR
    limit = settings.NEW_ALERTS_PER_CONTAINER if alert.is_container_flood else settings.NEW_ALERTS_PER_SENSOR
    flooding = AlertBudget.objects.filter(
        sensor=alert.sensor_id, container_id=key, excess_at__gt=timezone.now() - WINDOW
    ).first()
    if flooding is None or flooding.excess_at is None:
        return FloodStatus(limit, None, None)
    return FloodStatus(limit, flooding.flooding_since, flooding.excess_at + WINDOW)
