"""Celery's way to the fleet's actions."""

from __future__ import annotations

from celery import shared_task

from drift.fleet.actions import expire_sensors as tidy
from drift.fleet.actions import heartbeats, rollouts
from drift.fleet.actions import notifications as alarms
from drift.fleet.actions import rollout_waves as waves


@shared_task(name="fleet.start_rollout")
def start_rollout(number: int) -> None:
    """The first sensors of a version that was just saved."""
    rollouts.start_rollout(number)


@shared_task(name=waves.SPREAD_CHUNK)
def spread_chunk(rollout_id: int) -> None:
    """The next sensors of a rollout."""
    rollouts.spread_chunk(rollout_id)


@shared_task(name=rollouts.PUSH_ENVIRONMENT)
def tell_environment(environment_id: int) -> None:
    """Sensors of an environment that was switched off or on ask at once."""
    rollouts.push_environment(environment_id)


@shared_task(name="fleet.sweep")
def sweep() -> None:
    """What lost messages left undone."""
    rollouts.sweep()


@shared_task(name="fleet.flush_heartbeats")
def flush_heartbeats() -> None:
    """What heartbeats said since the last flush."""
    heartbeats.flush_heartbeats()


@shared_task(name="fleet.tidy")
def tidy_fleet() -> None:
    """Nodes that are gone retire, old deliveries go."""
    tidy.retire_silent_sensors()
    tidy.prune_deliveries()


@shared_task(name="fleet.report_health")
def report_health() -> None:
    """Whoever asked hears of sensors in trouble."""
    alarms.notify_health()
