"""The live sensors that lack what a policy uses."""

from __future__ import annotations

from collections.abc import Collection

from drift.fleet.queries.sensors import active_sensors


def names_of_lacking_sensors(features: Collection[str], **_: object) -> list[str]:
    """Return the names of the active sensors that do not report all of these capabilities.

    A sensor that never reported is not among them: it takes the policy with its first heartbeat, or is upgraded first.
    """
    rows = active_sensors().filter(status__isnull=False).exclude(status__capabilities__contains=list(features))
    found = rows.order_by("cluster__name", "node").values_list("cluster__name", "node")
    return [f"{cluster}/{node}" for cluster, node in found]
