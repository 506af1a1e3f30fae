"""How a user wants to see the list of alerts."""

from __future__ import annotations

from accounts.models import User
from drift.alerts.domain.filters import Filters
from drift.alerts.domain.sort_order import FIRST_ORDER, NEWEST_FIRST, SortOrder
from drift.alerts.models import ListPreference


def list_preference(user: User) -> ListPreference:
    """Return the user's preferences, the defaults where they chose none."""
    return ListPreference.objects.filter(user=user).first() or ListPreference(user=user)


def usual_order(preference: ListPreference, filters: Filters) -> SortOrder:
    """Return the order of a list that is asked for none: the remembered one, else by priority.

    Searches are newest first, unless the user chose an order: by priority, a common string could not be searched by
    walking along the newest alerts.
    """
    remembered = preference.sort or FIRST_ORDER
    return SortOrder.parse(NEWEST_FIRST if filters.q and remembered == FIRST_ORDER else remembered)
