"""Environments: added, renamed, switched, retired. Nothing stored about them is ever lost."""

from __future__ import annotations

from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts import audit
from accounts.models import User
from drift import queue
from drift.fleet.actions.rollouts import PUSH_ENVIRONMENT, raise_epoch
from drift.fleet.errors import FleetError
from drift.fleet.models import Environment, Sensor, SensorState


def create_environment(actor: User | None, *, provider: str, account: str, name: str) -> Environment:
    """A new environment, its sensors switched on. Raises Refused 409 `account_known`."""
    try:
        with transaction.atomic(durable=True):
            environment = Environment.objects.create(provider=provider, account=account, name=name)
            _record(actor, "added", environment, after={"provider": provider, "account": account, "name": name})
            return environment
    except IntegrityError:
        message = f"{account} is in Driftwatch already."
        raise FleetError("account_known", message, status=409, field="account") from None


def rename_environment(actor: User, environment: Environment, name: str) -> None:
    """Give it another name; the account, which rules name, stays."""
    _change(actor, "renamed", environment, {"name": name})


def switch_sensor(actor: User, environment: Environment, *, on: bool) -> None:
    """*Defender sensor* on or off: off refuses its sensors, who keep what they see and stop blocking."""
    _change(actor, "switched the sensor on" if on else "switched the sensor off", environment, {"sensor_enabled": on})


def switch_proof(actor: User, environment: Environment, *, on: bool) -> None:
    """Proof of detection on or off. On again while it is on changes nothing."""
    if on:
        _change(actor, "switched proof on", environment, {"proved_since": timezone.now()}, proved_since=None)
    else:
        _change(actor, "switched proof off", environment, {"proved_since": None})


def retire_environment(actor: User, environment: Environment) -> None:
    """Take it off the page and refuse its sensors. Rules that name it are left as they are."""
    _change(actor, "retired", environment, {"retired_at": timezone.now()}, retired_at=None)


def restore_environment(actor: User, environment: Environment) -> None:
    """Bring a retired environment back as it was."""
    _change(actor, "restored", environment, {"retired_at": None}, retired_at__isnull=False)


@transaction.atomic(durable=True)
def change_environment(
    actor: User,
    environment: Environment,
    *,
    name: str | None = None,
    on: bool | None = None,
    proof: bool | None = None,
    retired: bool | None = None,
) -> None:
    """Several of these at once, or none of them: another name, sensor and proof on or off, retired or restored."""
    if name is not None:
        rename_environment(actor, environment, name)
    if on is not None:
        switch_sensor(actor, environment, on=on)
    if proof is not None:
        switch_proof(actor, environment, on=proof)
    if retired is not None:
        (retire_environment if retired else restore_environment)(actor, environment)


@transaction.atomic
def _change(actor: User, verb: str, environment: Environment, new: dict[str, Any], **only_if: Any) -> None:
    """Write what differs, and one audit record if anything does; sensors that are let in or out hear of it."""
    row = Environment.objects.select_for_update().filter(pk=environment.pk, **only_if).first()
    if row is None or all(getattr(row, field) == value for field, value in new.items()):
        return
    before = {field: _plain(getattr(row, field)) for field in new}
    Environment.objects.filter(pk=row.pk).update(**new)
    _record(actor, verb, row, before=before, after={field: _plain(value) for field, value in new.items()})
    if new.keys() & {"sensor_enabled", "retired_at"}:
        _tell_sensors(row)
    for field, value in new.items():
        setattr(environment, field, value)


def _tell_sensors(environment: Environment) -> None:
    """They ask at once. Whoever misses the push learns of that from the next keep-alive, and so does everybody else.

    Where there are none, nothing is pushed: gateways would take a risen epoch for a push that they missed.
    """
    if Sensor.objects.filter(cluster__environment=environment, state=SensorState.LIVE).exists():
        raise_epoch()
        queue.enqueue(PUSH_ENVIRONMENT, environment.pk)


def _plain(value: Any) -> Any:
    return value.isoformat() if hasattr(value, "isoformat") else value


def _record(
    actor: User | None,
    verb: str,
    environment: Environment,
    *,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
) -> None:
    audit.record(actor, verb, "environment", environment.pk, name=environment.name, before=before, after=after)
