"""The names that a query line has in place of the keys of rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Final

from drift.alerts.domain.filters import Filters
from drift.alerts.queries.filter_pills import Option, Pill
from drift.web.requests import bounded_int

NAMED: Final = frozenset({"environment", "cluster", "rule", "suppression"})
"""Filters that take names as well as keys."""


def named_options(options: Iterable[Option]) -> list[Option]:
    """Return (value, label) of the options by their names; by their keys where a name is a number or not unique."""
    rows = list(options)
    counts = Counter(label.casefold() for _, label in rows)
    return [
        (key if not label or bounded_int(label) is not None or counts[label.casefold()] > 1 else label, label)
        for key, label in rows
    ]


def with_names(filters: Filters, pills: Iterable[Pill]) -> Filters:
    """Return the filters as a line shows them: with names in place of the keys that the pills have options for."""
    values = dict(filters.values)
    for pill in pills:
        if pill.name in NAMED and pill.name in values and pill.options:
            keys = [key for key, _ in pill.options]
            names = dict(zip(keys, (value for value, _ in named_options(pill.options)), strict=True))
            values[pill.name] = tuple(names.get(value, value) for value in values[pill.name])
    return Filters(filters.q, values)
