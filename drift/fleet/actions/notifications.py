"""Queue notifications of sensors in trouble and of rollouts that halted."""

from __future__ import annotations

from typing import Final

from django.db import transaction
from django.urls import reverse

from accounts.models import User
from accounts.roles import Role
from drift.fleet.models import Rollout
from drift.fleet.queries.health import health_notices
from drift.notify.actions.notices import notify_conditions, notify_subscribers
from drift.notify.models import Kind, PendingNotice

SYSTEM: Final = User(name="Driftwatch", role=Role.READER)
"""The viewer of the whole fleet on behalf of no user; never stored."""


@transaction.atomic
def notify_health() -> None:
    """Notify subscribers of each sensor's trouble when it begins; of the first sensors of a kind, as on the page."""
    path = reverse("fleet:health")
    active = [
        PendingNotice(
            key=f"{notice.code} {sensor.pk}",
            title=f"{notice.title}: {sensor.node} in {sensor.cluster.name}",
            path=path,
        )
        for notice in health_notices(SYSTEM)
        for sensor in notice.sensors
    ]
    notify_conditions(Kind.HEALTH, active)


def notify_halted_rollout(rollout: Rollout, reason: str) -> None:
    """Notify subscribers of a rollout that halted, in the transaction that halts it."""
    path = reverse("fleet:rollout", args=[rollout.version_id])
    title = f"Version {rollout.version_id}: {reason}"
    notify_subscribers(Kind.HALTED, [PendingNotice(key=f"rollout {rollout.pk}", title=title, path=path)])
