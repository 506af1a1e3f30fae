"""Celery tasks of accounts. Each may run twice."""

from __future__ import annotations

from celery import shared_task

from accounts.actions import sessions


@shared_task(name="accounts.delete_expired_sessions")
def delete_expired_sessions() -> None:
    """Every hour: delete the sessions that have expired."""
    sessions.delete_expired_sessions()
