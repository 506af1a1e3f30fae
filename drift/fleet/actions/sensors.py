"""Ending a sensor: by an administrator who revokes it or frees its node."""

from __future__ import annotations

import uuid

from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts import audit
from accounts.models import User
from drift.fleet.actions import notify_gateway as gateway
from drift.fleet.actions.delivery import close_deliveries, set_desired_version
from drift.fleet.actions.rollout_waves import stable_number
from drift.fleet.domain import push_messages as push
from drift.fleet.models import FleetState, Sensor, SensorState


def revoke_sensor(actor: User, sensor: Sensor) -> bool:
    """Refuse its credential for good, and its node until it is released. False where it had ended already."""
    return _end(actor, sensor, SensorState.REVOKED, "revoked", [SensorState.LIVE])


def release_sensor(actor: User, sensor: Sensor) -> bool:
    """Let its node enrol afresh; its own credential no longer counts. False where nothing held the node."""
    return _end(actor, sensor, SensorState.RELEASED, "released", [SensorState.LIVE, SensorState.REVOKED])


def revive_sensor(sensor: Sensor) -> bool:
    """A sensor that was retired as silent is back: live again, on the version that everybody has.

    False where its node has another live sensor by now: then its credential no longer counts.
    """
    try:
        with transaction.atomic():
            rows = Sensor.objects.filter(pk=sensor.pk, state=SensorState.RETIRED)
            rows.update(state=SensorState.LIVE, ended_at=None)
            number = stable_number()
            if number is not None:
                set_desired_version([sensor.pk], number)
    except IntegrityError:
        return False
    sensor.refresh_from_db(fields=["state", "ended_at", "desired_version"])
    return sensor.state == SensorState.LIVE


@transaction.atomic(durable=True)
def _end(actor: User, sensor: Sensor, state: SensorState, verb: str, from_states: list[SensorState]) -> bool:
    """The row is locked, so of two who end it at once the second sees what the first made of it."""
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
    _close_stream(sensor.pk)
    return True


def _close_stream(sensor: uuid.UUID) -> None:
    gateway.push_on_commit(push.PushMessage(FleetState.objects.get().epoch, closed=[str(sensor)]))
