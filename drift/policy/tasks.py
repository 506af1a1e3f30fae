"""The policy's Celery tasks."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from drift.policy.actions import versions


@shared_task(name="policy.disable_expired_rules")
def disable_expired_rules() -> None:
    """Every minute, disable the rules that have expired. Idempotent."""
    versions.disable_expired_rules(timezone.now())
