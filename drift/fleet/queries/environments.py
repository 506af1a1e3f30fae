"""Environments by cloud."""

from __future__ import annotations

from django.conf import settings

from accounts.models import Viewer
from drift.fleet.models import Environment, Provider


def environments_by_cloud(viewer: Viewer) -> list[tuple[Provider, list[Environment]]]:
    """Return each cloud with its environments that are not retired, in the order of Provider."""
    found: dict[str, list[Environment]] = {provider: [] for provider in Provider}
    for row in Environment.objects.visible_to(viewer).filter(retired_at=None).order_by("name", "account"):
        found[row.provider].append(row)
    return [(provider, found[provider]) for provider in Provider]


def approver_warnings() -> list[str]:
    """Return, in sentences, which of SECOND_APPROVER_ENVIRONMENTS are not environments, and so protect nothing."""
    if settings.SECOND_APPROVER == "none":
        return []
    known = set(Environment.objects.values_list("provider", "account"))
    return [
        f"SECOND_APPROVER_ENVIRONMENTS names {provider}:{account}, which is not an environment: no change of its rules"
        " needs a second person."
        for provider, account in settings.SECOND_APPROVER_ENVIRONMENTS
        if (provider, account) not in known
    ]
