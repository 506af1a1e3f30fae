"""Celery tasks; each calls one action."""

from __future__ import annotations

from celery import shared_task

from drift.health.actions import record_health as recording


@shared_task(name="health.record")
def record_health() -> None:
    """Every minute: record since when conditions hold, and notify of those that begin."""
    recording.record_health()
