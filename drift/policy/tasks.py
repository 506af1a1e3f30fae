"""What Celery runs for the policy."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from drift.policy.actions import drafts as actions


@shared_task(name="policy.disable_expired_rules")
def disable_expired_rules() -> None:
    """Every minute: disable rules whose time has passed. Running twice is the same as once."""
    actions.disable_expired_rules(timezone.now())
