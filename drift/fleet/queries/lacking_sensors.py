"""The live sensors that lack what a policy uses."""

from __future__ import annotations

from collections.abc import Collection

from django.db.models import Count, Q

from accounts.models import User
from drift.fleet.queries.sensors import active_sensors, visible_active_sensors


def names_of_lacking_sensors(features: Collection[str], **_: object) -> list[str]:
    """Return the names of the active sensors that do not report all of these capabilities.

    A sensor that never reported is not among them: it takes the policy with its first heartbeat, or is upgraded first.
    """
    rows = active_sensors().filter(status__isnull=False).exclude(status__capabilities__contains=list(features))
    found = rows.order_by("cluster__name", "node").values_list("cluster__name", "node")
    return [f"{cluster}/{node}" for cluster, node in found]


def count_lacking(user: User, capability: str) -> tuple[int, int]:
    """Return how many of the active sensors that the user sees do not report a capability, and how many there are."""
    rows = visible_active_sensors(user).filter(status__isnull=False)
    found = rows.aggregate(
        lacking=Count("pk", filter=~Q(status__capabilities__contains=[capability])),
        total=Count("pk"),
    )
    return found["lacking"], found["total"]
