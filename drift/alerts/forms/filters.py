"""Read the filters and the order of alerts from a query string."""

from __future__ import annotations

from typing import Final

from django.http import QueryDict

from drift.alerts.domain.filters import ANY, LABELS, MAX_SEARCH, MAX_VALUE, MAX_VALUES, Filters
from drift.alerts.domain.program_names import name_set
from drift.alerts.domain.query_line import QueryLineError, name_message, parse_line, print_line, value_message
from drift.alerts.domain.sort_order import SortOrder
from drift.alerts.errors import QueryInvalid

NOT_FILTERS: Final = name_set("q query sort group view after add all days split since shown size")
"""What else the addresses of pages, exports and the API have."""


def read_filters(query: QueryDict) -> Filters:
    """Return the filters of a query string, those of a query line (`query`) added.

    Raises QueryInvalid for names and values that are not of a filter: without them it would find other alerts than
    were asked for. An empty value is none, unless the filter has any values.
    """
    # PostgreSQL rejects NUL in a string.
    search = query.get("q", "").replace("\0", "").strip()[:MAX_SEARCH]
    sent = {name: tuple(dict.fromkeys(query.getlist(name))) for name in query if name not in NOT_FILTERS}
    values = {
        name: tuple(value for value in many if value or not value_message(name, "")) for name, many in sent.items()
    }
    for name, many in values.items():
        if error := name_message(name) or _values_message(name, many):
            raise QueryInvalid(error, 0, print_line(Filters(search, values)))
    if ANY in values.get("status", ()):
        values["status"] = (ANY,)
    filters = Filters(search, {name: values[name] for name in LABELS if values.get(name)})
    line = query.get("query", "")
    return filters.together_with(read_query_line(line)) if line else filters


def read_query_line(line: str) -> Filters:
    """Return the filters of a query line. Raises QueryInvalid."""
    try:
        return parse_line(line)
    except QueryLineError as error:
        raise QueryInvalid(str(error), error.position, line) from None


def read_sort_order(query: QueryDict) -> SortOrder | None:
    """Return the order that `sort` names; None without one."""
    return SortOrder.parse(query.get("sort", "")) if "sort" in query else None


def _values_message(name: str, values: tuple[str, ...]) -> str | None:
    if len(values) > MAX_VALUES:
        return f"A filter has at most {MAX_VALUES} values."
    for value in values:
        if len(value) > MAX_VALUE:
            return f"A value has at most {MAX_VALUE:,} characters."
        if "\0" in value:
            return "NUL characters are not allowed."
        if error := value_message(name, value):
            return error
    return None
