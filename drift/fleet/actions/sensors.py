"""The end of a sensor (revoked, released, or retired when silent) and its revival."""

from __future__ import annotations

import datetime as dt
from typing import Final

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone

from accounts import audit, tokens
from accounts.models import User
from drift.fleet.actions.delivery import close_deliveries, set_desired_version
from drift.fleet.actions.pushes import push_on_commit
from drift.fleet.domain.push_messages import PushMessage
from drift.fleet.models import FleetState, Sensor, SensorState
from drift.fleet.queries.rollout_waves import stable_version_number
from drift.fleet.queries.sensors import ACTIVE

MAX_RETIRED: Final = 10_000
"""Sensors retired in one run, so that the transaction stays short; the next run continues."""


def revoke_sensor(actor: User, sensor: Sensor) -> bool:
    """Reject its credential permanently, and its node until release; return False if it had already ended."""
    return _end(actor, sensor, SensorState.REVOKED, "revoked", [SensorState.LIVE])


def release_sensor(actor: User, sensor: Sensor) -> bool:
    """Reject its credential and let its node enrol again; return False if it was released already.

    Also one that is retired, whose credential would make it live again: the disk of a node that is gone may be read.
    """
    from_states = [SensorState.LIVE, SensorState.REVOKED, SensorState.RETIRED]
    return _end(actor, sensor, SensorState.RELEASED, "released", from_states)


@transaction.atomic(durable=True)
def _end(actor: User, sensor: Sensor, state: SensorState, verb: str, from_states: list[SensorState]) -> bool:
    # The row is locked: of two requests at once, the second sees the state that the first wrote.
    row: Sensor | None = Sensor.objects.select_for_update().filter(pk=sensor.pk, state__in=from_states).first()
    if row is None:
        return False
    Sensor.objects.filter(pk=row.pk).update(state=state, ended_at=timezone.now())
    close_deliveries([row.pk])
    audit.record(
        actor,
        verb,
        "sensor",
        sensor.pk,
        name=f"{sensor.cluster.name}/{sensor.node}",
        before={"state": row.state},
        after={"state": state},
    )
    push_on_commit(PushMessage(FleetState.objects.get().epoch, closed=[str(sensor.pk)]))
    return True


@transaction.atomic(durable=True)
def retire_silent_sensors() -> int:
    """End active sensors without a heartbeat for SENSOR_RETIRED_AFTER_HOURS, so that rollouts finish; return how many.

    A node that returns with its credential is live again (`revive_sensor`).
    """
    silent_since = timezone.now() - dt.timedelta(hours=settings.SENSOR_RETIRED_AFTER_HOURS)
    # Only active sensors: in an environment that is switched off they are rejected and send no heartbeats.
    silent = Sensor.objects.filter(ACTIVE, status__last_seen_at__lt=silent_since)
    rows = silent.select_for_update(of=["self"], skip_locked=True).order_by("pk")
    ids = list(rows.values_list("pk", flat=True)[:MAX_RETIRED])
    if ids:
        Sensor.objects.filter(pk__in=ids).update(state=SensorState.RETIRED, ended_at=timezone.now())
        close_deliveries(ids)
        audit.record(
            None, "retired", "sensor", "", name=f"{len(ids)} silent sensors", after={"silent_since": str(silent_since)}
        )
    return len(ids)


def revive_sensor(sensor: Sensor) -> bool:
    """Make a retired sensor live again, with the version that all sensors have. Whoever has its credential can.

    Return False where its node has another live sensor by now: then its credential is no longer valid.
    """
    try:
        with transaction.atomic():
            rows = Sensor.objects.filter(pk=sensor.pk, state=SensorState.RETIRED)
            if rows.update(state=SensorState.LIVE, ended_at=None):
                audit.record(
                    None,
                    "revived",
                    "sensor",
                    sensor.pk,
                    name=f"{sensor.cluster.name}/{sensor.node}",
                    before={"state": SensorState.RETIRED},
                    after={"state": SensorState.LIVE},
                    actor_name="Sensor credential",
                )
            number = stable_version_number()
            if number is not None:
                set_desired_version([sensor.pk], number)
    except IntegrityError:
        _record_contest(sensor)
        return False
    sensor.refresh_from_db(fields=["state", "ended_at", "desired_version"])
    return sensor.state == SensorState.LIVE


def renew_credential_digest(sensor: Sensor, credential: str) -> None:
    """Store the digest of the sensor's credential under this SECRET_KEY, in place of the one before."""
    Sensor.objects.filter(pk=sensor.pk).update(credential_digest=tokens.digest(credential))


def _record_contest(replaced: Sensor) -> None:
    """Record on the sensor that took over the node that the one before calls again; once a minute is enough."""
    now = timezone.now()
    not_noted = Q(contested_at=None) | Q(contested_at__lt=now - dt.timedelta(minutes=1))
    live = Sensor.objects.filter(cluster=replaced.cluster_id, node=replaced.node, state=SensorState.LIVE)
    live.filter(not_noted, took_over_at__isnull=False).update(contested_at=now)
