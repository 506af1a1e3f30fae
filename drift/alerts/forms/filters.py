"""Read the filters and the order of alerts from a query string."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from django.http import QueryDict

from drift.alerts.domain.filters import ANY, CHOICES, LABELS, MAX_SEARCH, MAX_VALUE, MAX_VALUES, Filters
from drift.alerts.domain.query_line import QueryLineError, parse_line
from drift.alerts.domain.sort_order import SortOrder
from drift.alerts.errors import QueryInvalid

PARAMETERS: Final[Mapping[str, Sequence[str] | None]] = {name: CHOICES.get(name) for name in LABELS}
"""Each filter's query parameter, and its values where they are limited to a list."""


def read_filters(query: QueryDict) -> Filters:
    """Return the filters; unknown names and values are left out, long ones cut.

    Those of a query line (`query`) are added. Raises QueryInvalid where it cannot be read.
    """
    values = {name: _known_values(name, query.getlist(name)) for name in LABELS if name in query}
    # PostgreSQL rejects NUL in a string.
    search = query.get("q", "").replace("\0", "").strip()[:MAX_SEARCH]
    filters = Filters(search, {name: known for name, known in values.items() if known})
    line = query.get("query", "")
    return filters.together_with(read_query_line(line)) if line else filters


def read_query_line(line: str) -> Filters:
    """Return the filters of a query line. Raises QueryInvalid."""
    try:
        return parse_line(line)
    except QueryLineError as error:
        raise QueryInvalid(str(error), error.position) from None


def read_sort_order(query: QueryDict) -> SortOrder | None:
    """Return the order that `sort` names; None without one."""
    return SortOrder.parse(query.get("sort", "")) if "sort" in query else None


def _known_values(name: str, values: Sequence[str]) -> tuple[str, ...]:
    kept = [value[:MAX_VALUE] for value in values[:MAX_VALUES] if "\0" not in value]
    if name == "status" and ANY in kept:
        return (ANY,)
    allowed = PARAMETERS[name]
    return tuple(value for value in dict.fromkeys(kept) if allowed is None or value in allowed)
