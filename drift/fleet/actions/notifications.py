"""Letting those who asked know of sensors in trouble and of rollouts that halted."""

from __future__ import annotations

from typing import Final

from django.db import transaction
from django.urls import reverse

from accounts.models import User
from accounts.roles import Role
from drift.fleet.models import Rollout
from drift.fleet.queries import health
from drift.notify.actions import notices
from drift.notify.models import Kind, PendingNotice

DRIFTWATCH: Final = User(name="Driftwatch", role=Role.READER)
"""Looks at the fleet in nobody's name; never stored."""


@transaction.atomic
def notify_health() -> None:
    """Tell of each sensor's trouble when it begins; of the first few of every kind, as the page shows them."""
    path = reverse("fleet:health")
    told = [
        PendingNotice(
            key=f"{notice.code} {sensor.pk}",
            title=f"{notice.title}: {sensor.node} in {sensor.cluster.name}",
            path=path,
        )
        for notice in health.health_notices(DRIFTWATCH)
        for sensor in notice.sensors
    ]
    notices.notify_conditions(Kind.HEALTH, told)


def notify_halted_rollout(rollout: Rollout, reason: str) -> None:
    """Tell of a rollout that halted, in the transaction that halts it."""
    path = reverse("fleet:rollout", args=[rollout.version_id])
    title = f"Version {rollout.version_id}: {reason}"
    notices.notify_subscribers(Kind.HALTED, [PendingNotice(key=f"rollout {rollout.pk}", title=title, path=path)])
