"""Environments: added, renamed, switched, retired, restored. Nothing stored about them is deleted."""

from __future__ import annotations

from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts import audit
from accounts.models import User
from drift import queue
from drift.fleet.actions.pushes import PUSH_ENVIRONMENT, raise_epoch
from drift.fleet.errors import FleetError
from drift.fleet.models import Environment, Sensor, SensorState


def create_environment(actor: User | None, *, provider: str, account: str, name: str) -> Environment:
    """Create an environment whose sensor is switched on. Raises FleetError 409 `account_known`."""
    try:
        with transaction.atomic(durable=True):
            environment = Environment.objects.create(provider=provider, account=account, name=name)
            _record(actor, "added", environment, after={"provider": provider, "account": account, "name": name})
            return environment
    except IntegrityError:
        message = f"{account} has already been added."
        raise FleetError("account_known", message, status=409, field="account") from None


def rename_environment(actor: User, environment: Environment, name: str) -> None:
    """Rename it; the account, which rules refer to, stays."""
    _change(actor, "renamed", environment, {"name": name})


def switch_sensor(actor: User, environment: Environment, *, on: bool) -> None:
    """Switch *Sensor* on or off; while it is off, sensors are rejected: they spool events and do not block."""
    _change(actor, "switched the sensor on" if on else "switched the sensor off", environment, {"sensor_enabled": on})


def switch_proof(actor: User, environment: Environment, *, on: bool) -> None:
    """Switch proof of detection on or off. Switching it on again does not change since when it is on."""
    if on:
        _change(actor, "enabled proof of detection", environment, {"proved_since": timezone.now()}, proved_since=None)
    else:
        _change(actor, "disabled proof of detection", environment, {"proved_since": None})


def switch_exec_history(actor: User, environment: Environment, *, on: bool) -> None:
    """Switch execution history on or off: its sensors follow with their next heartbeat."""
    verb = "enabled execution history" if on else "disabled execution history"
    _change(actor, verb, environment, {"exec_history": on})


def retire_environment(actor: User, environment: Environment) -> None:
    """Hide it and reject its sensors. Rules that name its account stay as they are."""
    _change(actor, "retired", environment, {"retired_at": timezone.now()}, retired_at=None)


def restore_environment(actor: User, environment: Environment) -> None:
    """Restore a retired environment as it was."""
    _change(actor, "restored", environment, {"retired_at": None}, retired_at__isnull=False)


@transaction.atomic(durable=True)
def change_environment(
    actor: User,
    environment: Environment,
    *,
    name: str | None = None,
    on: bool | None = None,
    proof: bool | None = None,
    exec_history: bool | None = None,
    retired: bool | None = None,
) -> None:
    """Make several changes in one transaction: name; sensor, proof and history on or off; retired or restored."""
    if name is not None:
        rename_environment(actor, environment, name)
    if on is not None:
        switch_sensor(actor, environment, on=on)
    if proof is not None:
        switch_proof(actor, environment, on=proof)
    if exec_history is not None:
        switch_exec_history(actor, environment, on=exec_history)
    if retired is not None:
        (retire_environment if retired else restore_environment)(actor, environment)


@transaction.atomic
def _change(actor: User, verb: str, environment: Environment, new: dict[str, Any], **only_if: Any) -> None:
    """Write the values that differ, with one audit record, and push to sensors that are now accepted or rejected."""
    row = Environment.objects.select_for_update().filter(pk=environment.pk, **only_if).first()
    if row is None or all(getattr(row, field) == value for field, value in new.items()):
        return
    before = {field: _plain(getattr(row, field)) for field in new}
    Environment.objects.filter(pk=row.pk).update(**new)
    _record(actor, verb, row, before=before, after={field: _plain(value) for field, value in new.items()})
    if new.keys() & {"sensor_enabled", "retired_at"}:
        _push_to_sensors(row)
    for field, value in new.items():
        setattr(environment, field, value)


def _push_to_sensors(environment: Environment) -> None:
    # Without sensors nothing is pushed, so the epoch must not rise: gateways would take it for a push that they missed,
    # and make the whole fleet fetch.
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
