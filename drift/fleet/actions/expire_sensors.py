"""What nobody asks for but everybody expects: nodes that are gone retire, old deliveries go."""

from __future__ import annotations

import datetime as dt
from typing import Final

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from accounts import audit
from drift.fleet.actions.delivery import close_deliveries
from drift.fleet.models import Sensor, SensorState

KEPT_VERSIONS: Final = 20
"""Versions whose deliveries are kept."""
MOST: Final = 10_000
"""Rows retired or deleted in one run, so that no transaction is long; the next run goes on."""
_PRUNE = """
DELETE FROM fleet_delivery WHERE id IN (
    SELECT delivery.id FROM fleet_delivery AS delivery JOIN fleet_rollout AS rollout ON rollout.id = rollout_id
    WHERE version_id < (SELECT min(number) FROM (
        SELECT number FROM policy_policyversion ORDER BY number DESC LIMIT %s
    ) AS kept) LIMIT %s
)
"""


@transaction.atomic(durable=True)
def retire_silent_sensors() -> int:
    """End live sensors that were not heard of for SENSOR_RETIRED_AFTER_HOURS, so that rollouts finish; how many.

    Those in environments that are off are refused, so their silence says nothing. A node that comes
    back with its credential is live again (`sensors.revive`).
    """
    before = timezone.now() - dt.timedelta(hours=settings.SENSOR_RETIRED_AFTER_HOURS)
    silent = Sensor.objects.filter(
        state=SensorState.LIVE,
        status__last_seen_at__lt=before,
        cluster__environment__sensor_enabled=True,
        cluster__environment__retired_at=None,
    )
    rows = silent.select_for_update(of=["self"], skip_locked=True).order_by("pk")
    ids = list(rows.values_list("pk", flat=True)[:MOST])
    if ids:
        Sensor.objects.filter(pk__in=ids).update(state=SensorState.RETIRED, ended_at=timezone.now())
        close_deliveries(ids)
        audit.record(
            None, "retired", "sensor", "", name=f"{len(ids)} silent sensors", after={"silent_since": str(before)}
        )
    return len(ids)


def prune_deliveries() -> int:
    """Delete deliveries of all but the newest KEPT_VERSIONS versions; how many."""
    with connection.cursor() as cursor:
        cursor.execute(_PRUNE, [KEPT_VERSIONS, MOST])
        return int(cursor.rowcount)
