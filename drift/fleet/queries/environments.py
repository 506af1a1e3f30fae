"""Environments by cloud."""

from __future__ import annotations

from accounts.models import Viewer
from drift.fleet.models import Environment, Provider


def environments_by_cloud(viewer: Viewer) -> list[tuple[Provider, list[Environment]]]:
    """Return each cloud with its environments that are not retired, in the order of Provider."""
    found: dict[str, list[Environment]] = {provider: [] for provider in Provider}
    for row in Environment.objects.visible_to(viewer).filter(retired_at=None).order_by("name", "account"):
        found[row.provider].append(row)
    return [(provider, found[provider]) for provider in Provider]
