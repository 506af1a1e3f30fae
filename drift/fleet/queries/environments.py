"""Environments by cloud, and from when on a sensor counts as offline or unproven."""

from __future__ import annotations

import datetime as dt

from accounts.models import Viewer
from drift.fleet.actions.detection_proofs import EVERY
from drift.fleet.models import Environment, Provider

OFFLINE_AFTER = dt.timedelta(minutes=3)
"""Three heartbeats missed (one a minute)."""
UNPROVEN_AFTER = 2 * EVERY + dt.timedelta(minutes=10)
"""Two canaries missed, and the time one may take."""


def environments_by_cloud(viewer: Viewer) -> list[tuple[Provider, list[Environment]]]:
    """All three clouds, in the order that users know, each with its active environments."""
    found: dict[str, list[Environment]] = {provider: [] for provider in Provider}
    for row in Environment.objects.visible_to(viewer).filter(retired_at=None).order_by("name", "account"):
        found[row.provider].append(row)
    return [(provider, found[provider]) for provider in Provider]
