"""What the fleet does within a Save."""

from __future__ import annotations

from typing import Any

from django.dispatch import receiver

from drift.fleet.actions.rollouts import open_rollout
from drift.policy.models import PolicyVersion
from drift.policy.signals import version_saved


@receiver(version_saved)
def open_rollout_of_version(sender: type[PolicyVersion], version: PolicyVersion, **_: Any) -> None:
    """A version and its rollout are stored together or not at all."""
    open_rollout(version)
