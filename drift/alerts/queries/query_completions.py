"""What completes the word at the caret of a query line: names of filters, and values that the user may see."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from accounts.models import User
from drift.alerts.domain.filter_values import VALUES
from drift.alerts.domain.filters import LABELS, NONE
from drift.alerts.domain.query_line import completed_value, completion_point
from drift.alerts.models import Alert
from drift.alerts.queries.filter_pills import OPTIONS, Option
from drift.alerts.queries.query_names import NAMED, named_options
from drift.web.requests import bounded_int

MAX_COMPLETIONS: Final = 12
NEWEST: Final = 2_000
"""Newest alerts that the user sees, whose values are offered."""
COLUMNS: Final = {
    "namespace": "namespace",
    "image": "image_name",
    "path": "path",
    "writer": "writer",
    "parent": "parent",
    "node": "node",
    "pod": "pod_name",
    "container": "workload__container_name",
    "hash": "binary__sha256",
}
"""Filters whose values are those of an alert's column."""
AGES: Final = (("1h", "An hour"), ("12h", "Twelve hours"), ("1d", "A day"), ("2d", "Two days"), ("1w", "A week"))
EMPTY_IS_NONE: Final = frozenset({"writer", "parent", "pod"})


@dataclass(frozen=True)
class QueryCompletion:
    """A completion: what replaces the line from `start` to `end`, and what it means."""

    text: str
    label: str
    start: int
    end: int

    @property
    def is_name(self) -> bool:
        """Whether a value follows."""
        return self.text.endswith(":")


def query_completions(user: User, line: str, caret: int) -> list[QueryCompletion]:
    """Return what completes the line at the caret, at most MAX_COMPLETIONS; nothing where it cannot be read."""
    point = completion_point(line, caret)
    if point is None or "\0" in point.typed:
        return []
    if point.name is None:
        typed = point.typed.lower()
        found = [(f"{name}:", label) for name, label in LABELS.items() if name.startswith(typed)]
        return [QueryCompletion(text, label, point.start, point.end) for text, label in found[:MAX_COMPLETIONS]]
    values = _matching(_values(user, point.name), point.typed)
    return [QueryCompletion(completed_value(value), label, point.start, point.end) for value, label in values]


def _matching(values: Iterable[Option], typed: str) -> list[Option]:
    """Return the options whose value or label contains what is typed, in any letter case; beginnings first."""
    wanted = typed.casefold()
    matches = [each for each in values if any(wanted in text.casefold() for text in each)]
    return sorted(matches, key=lambda each: not any(text.casefold().startswith(wanted) for text in each))[
        :MAX_COMPLETIONS
    ]


def _values(user: User, name: str) -> Iterable[Option]:
    if name in {"assignee", "closed_by"}:
        return _people(user, name)
    if name in NAMED:
        return named_options(OPTIONS[name](user))
    if name in OPTIONS:
        options = dict(OPTIONS[name](user))
        return [(value, options.get(value, "")) for value in VALUES.get(name, options)]
    if name in {"newer", "older"}:
        return AGES
    return _recent_values(user, name) if name in COLUMNS else ()


def _people(user: User, name: str) -> Iterable[Option]:
    options = list(OPTIONS[name](user))
    numbers = [number for value, _ in options if (number := bounded_int(value)) is not None]
    addresses = {str(pk): email for pk, email in User.objects.filter(pk__in=numbers).values_list("pk", "email")}
    return [(addresses.get(value, value), label) for value, label in options]


def _recent_values(user: User, name: str) -> list[Option]:
    newest = Alert.objects.visible_to(user).order_by("-first_seen", "-pk")
    values = dict.fromkeys(newest.values_list(COLUMNS[name], flat=True)[:NEWEST])
    none = [(NONE, "Not known")] if "" in values and name in EMPTY_IS_NONE else []
    return [*((value, "") for value in values if value), *none]
