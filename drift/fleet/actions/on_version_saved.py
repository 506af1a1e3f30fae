"""Start a rollout when a version is saved; connected in `drift.fleet.apps`."""

from __future__ import annotations

from typing import Any

from drift.fleet.actions.rollouts import open_rollout
from drift.policy.models import PolicyVersion


def open_rollout_on_save(sender: type[PolicyVersion], version: PolicyVersion, **_: Any) -> None:
    """Open the version's rollout in the transaction of the Save: both are stored, or neither."""
    open_rollout(version)
