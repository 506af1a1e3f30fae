"""Read the filters and the order of alerts from a query string."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from django.http import QueryDict

from drift.alerts.domain.filters import ANY, CHOICES, LABELS, Filters
from drift.alerts.domain.sort_order import SortOrder

MAX_SEARCH: Final = 256
"""Characters of a search string."""
MAX_VALUE: Final = 1_024
"""Characters of a filter's value."""
MAX_VALUES: Final = 200
"""Values of one filter."""
PARAMETERS: Final[Mapping[str, Sequence[str] | None]] = {name: CHOICES.get(name) for name in LABELS}
"""Each filter's query parameter, and its values where they are limited to a list."""


def read_filters(query: QueryDict) -> Filters:
    """Return the filters; unknown names and values are left out, long ones cut."""
    values = {name: _known_values(name, query.getlist(name)) for name in LABELS if name in query}
    # PostgreSQL rejects NUL in a string.
    search = query.get("q", "").replace("\0", "").strip()[:MAX_SEARCH]
    return Filters(search, {name: known for name, known in values.items() if known})


def read_sort_order(query: QueryDict) -> SortOrder:
    """Return the order that `sort` names, by default the newest first."""
    return SortOrder.parse(query.get("sort", ""))


def _known_values(name: str, values: Sequence[str]) -> tuple[str, ...]:
    kept = [value[:MAX_VALUE] for value in values[:MAX_VALUES] if "\0" not in value]
    if name == "status" and ANY in kept:
        return (ANY,)
    allowed = PARAMETERS[name]
    return tuple(value for value in dict.fromkeys(kept) if allowed is None or value in allowed)
