"""Celery's way to sending. Each may run twice."""

from __future__ import annotations

from celery import shared_task

from drift.notify.actions import send as sending


@shared_task(name="notify.send")
def send() -> None:
    """Send what is due."""
    sending.send()


@shared_task(name="notify.sweep")
def sweep() -> None:
    """Gather what everybody is to be told, send what a lost message left, drop what is old."""
    sending.gather()
    sending.send()
    sending.tidy()
