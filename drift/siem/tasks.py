"""Celery tasks of forwarding. Each may run twice."""

from __future__ import annotations

from celery import shared_task

from drift.siem.actions.forward import enqueue_due
from drift.siem.actions.forward import forward as send_records


@shared_task(name="siem.sweep")
def sweep() -> None:
    """Every five seconds: queue a task for each destination that may be behind."""
    enqueue_due()


@shared_task(name="siem.forward")
def forward(pk: int) -> None:
    """Send one destination what is behind its cursor."""
    send_records(pk)
