"""Quarantine of a sensor: its alerts are set aside from a time on, until the quarantine is lifted.

The fleet keeps only the switch; `alerts.settle_quarantines` sets alerts aside and brings them back.
"""

from __future__ import annotations

import datetime as dt
from typing import Any, Final

from django.db import transaction
from django.utils import timezone

from accounts import audit
from accounts.models import User
from drift import queue
from drift.fleet.models import Sensor

SETTLE: Final = "alerts.settle_quarantines"


@transaction.atomic(durable=True)
def quarantine_sensor(actor: User, sensor: Sensor, since: dt.datetime | None = None) -> bool:
    """Set aside what the sensor sent since `since`, by default now; return False if it is in quarantine already.

    A sensor that has ended may be put in quarantine too: to set aside what it sent before.
    """
    # FOR UPDATE waits for the batches that open alerts of this sensor, which hold FOR KEY SHARE; later ones see it.
    row: Sensor = Sensor.objects.select_for_update().get(pk=sensor.pk)
    if row.quarantined_at is not None:
        return False
    now = timezone.now()
    since = min(since or now, now)
    Sensor.objects.filter(pk=row.pk).update(quarantined_at=now, set_aside_since=since)
    _record(actor, sensor, "put in quarantine", {"quarantine": None}, {"quarantine": since.isoformat()})
    return True


@transaction.atomic(durable=True)
def lift_quarantine(actor: User, sensor: Sensor) -> bool:
    """Bring back what was set aside; return False if the sensor is not in quarantine."""
    row: Sensor = Sensor.objects.select_for_update().get(pk=sensor.pk)
    if row.set_aside_since is None:
        return False
    Sensor.objects.filter(pk=row.pk).update(quarantined_at=None, set_aside_since=None)
    before = {"quarantine": row.set_aside_since.isoformat()}
    _record(actor, sensor, "lifted the quarantine of", before, {"quarantine": None})
    return True


Columns = dict[str, Any]


def _record(actor: User, sensor: Sensor, verb: str, before: Columns, after: Columns) -> None:
    name = f"{sensor.cluster.name}/{sensor.node}"
    audit.record(actor, verb, "sensor", sensor.pk, name=name, before=before, after=after)
    queue.enqueue(SETTLE)
