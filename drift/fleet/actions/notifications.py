"""Queue notifications of rollouts that halted."""

from __future__ import annotations

from django.urls import reverse

from drift.fleet.models import Rollout
from drift.notify.actions.notices import notify_subscribers
from drift.notify.models import Kind, PendingNotice


def notify_halted_rollout(rollout: Rollout, reason: str) -> None:
    """Notify subscribers of a rollout that halted, in the transaction that halts it."""
    path = reverse("fleet:rollout", args=[rollout.version_id])
    title = f"Version {rollout.version_id}: {reason}"
    notify_subscribers(Kind.HALTED, [PendingNotice(key=f"rollout {rollout.pk}", title=title, path=path)])
