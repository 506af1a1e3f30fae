"""Celery tasks of notifications. Each may run twice."""

from __future__ import annotations

from celery import shared_task

from drift.notify.actions.audit_heads import send_audit_head
from drift.notify.actions.deliveries import delete_old_notices, send_due
from drift.notify.actions.gather import gather


@shared_task(name="notify.send")
def send() -> None:
    """Send the deliveries that are due."""
    send_due()


@shared_task(name="notify.send_audit_head")
def send_head() -> None:
    """Every hour: send the audit log's head to its subscribers, unless they got one within a day."""
    send_audit_head()


@shared_task(name="notify.sweep")
def sweep() -> None:
    """Gather pending notices, send those whose task was lost, delete old ones."""
    gather()
    send_due()
    delete_old_notices()
