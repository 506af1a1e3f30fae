"""How each user wants to see the list of alerts: their own, so neither audited nor seen by others."""

from __future__ import annotations

from accounts.models import User
from drift.alerts.domain.sort_order import SortOrder
from drift.alerts.models import ListPreference


def remember_order(user: User, sort: SortOrder) -> None:
    """Make this the order in which the user's list opens."""
    ListPreference.objects.update_or_create(user=user, defaults={"sort": str(sort)})


def set_density(user: User, *, is_compact: bool) -> None:
    """Make the rows of the user's list one line or two lines high."""
    ListPreference.objects.update_or_create(user=user, defaults={"is_compact": is_compact})


def remember_view(user: User, view: str) -> None:
    """Make this what the user's list opens with: alerts (""), or "incidents"."""
    ListPreference.objects.update_or_create(user=user, defaults={"view": view})
