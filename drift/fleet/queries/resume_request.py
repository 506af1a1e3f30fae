"""The request to resume blocking that waits for a second person."""

from __future__ import annotations

import datetime as dt
from typing import Final

from django.utils import timezone

from accounts.models import User
from accounts.roles import Role
from drift.fleet.models import FleetState
from drift.policy.queries.approval import approval_rule, can_approve
from drift.policy.queries.versions import latest_number

REQUEST_LIFETIME: Final = dt.timedelta(days=1)


def resume_requester(state: FleetState) -> User | None:
    """Return who asked to resume, while that still stands: nothing it was made for has changed since."""
    user, asked_at = state.resume_asked_by, state.resume_asked_at
    if user is None or asked_at is None or not user.has_role(Role.ADMIN):
        return None
    if user.rights_changed_at is not None and user.rights_changed_at >= asked_at:
        return None
    if state.resume_version_id != latest_number() or timezone.now() - asked_at >= REQUEST_LIFETIME:
        return None
    return user


def needs_second_person(viewer: User, state: FleetState) -> bool:
    """Return whether *Resume blocking* by this user would only ask, or wait for another."""
    if approval_rule().mode == "none":
        return False
    asked_by = resume_requester(state)
    return asked_by is None or not can_approve(viewer, asked_by)
