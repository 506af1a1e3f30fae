"""Celery tasks; each calls one action."""

from __future__ import annotations

from celery import shared_task

from drift.fleet.actions import delivery, heartbeats, pushes, refresh_bundles, rollouts, sensors
from drift.fleet.actions.rollout_control import SPREAD_CHUNK


@shared_task(name="fleet.start_rollout")
def start_rollout(number: int) -> None:
    """Give a version that was just saved to the first sensors."""
    rollouts.start_rollout(number)


@shared_task(name=SPREAD_CHUNK)
def spread_chunk(rollout_id: int) -> None:
    """Give a rollout's version to the next sensors."""
    rollouts.spread_chunk(rollout_id)


@shared_task(name=pushes.PUSH_ENVIRONMENT)
def push_environment(environment_id: int) -> None:
    """Make the sensors of an environment that was switched off or on fetch at once."""
    pushes.push_environment(environment_id)


@shared_task(name="fleet.sweep")
def sweep() -> None:
    """Finish what lost messages left undone."""
    rollouts.sweep()


@shared_task(name="fleet.flush_heartbeats")
def flush_heartbeats() -> None:
    """Write the heartbeats that arrived since the last flush."""
    heartbeats.flush_heartbeats()


@shared_task(name="fleet.tidy")
def tidy_fleet() -> None:
    """Retire silent sensors, date bundles anew, and delete old deliveries and bundles."""
    sensors.retire_silent_sensors()
    delivery.prune_deliveries()
    refresh_bundles.refresh_bundles()
    refresh_bundles.delete_old_bundles()
    heartbeats.delete_old_losses()
