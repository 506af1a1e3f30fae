"""The charts: alerts over time, the most frequent values, mean times to act, and hours of the week."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from django.utils import timezone

from accounts.models import User
from drift.alerts.domain.filters import ANY, Filters
from drift.alerts.models import CLOSED, Dimension, Status
from drift.alerts.queries.alert_groups import binary_paths, rule_names
from drift.alerts.queries.chart_counts import TOP, ChartCounts, CountRow, chart_counts
from drift.alerts.queries.query_limits import QueryLimit
from drift.fleet.models import Provider

DAYS: Final = (7, 30, 90)
SPLITS: Final = {"status": "Status", "cloud": "Cloud", "rule": "Rule"}
SPLIT_FILTERS: Final = {"status": "status", "cloud": "provider", "rule": "rule"}
"""The filter that shows a series' alerts."""
STATUS_COLOURS: Final = {status.value: f"series-{status.value.replace('_', '-')}" for status in Status}
"""By status and not by rank: red is what is still open, and what is resolved never is."""
TITLES: Final = {Dimension.IMAGE: "Images", Dimension.NAMESPACE: "Namespaces", Dimension.BINARY: "Binaries"}


@dataclass(frozen=True)
class ChartSeries:
    """One line of a chart: its name, the query string of its alerts, a count for each day, and its colour's class."""

    name: str
    query: str
    counts: list[int]
    colour: str


@dataclass(frozen=True)
class TopValue:
    """One of the most frequent values: its name, the query string of its alerts, their count, and its width of 100."""

    name: str
    query: str
    count: int
    width: int


@dataclass(frozen=True)
class Charts:
    """Everything on the page of charts.

    `days`: each day's start in seconds since 1970. `series` and `tops`: the largest first. `heat`: counts by weekday
    (Monday first) and hour (UTC). `partial`: the parts that count only the newest matches. `limit`: what prevented a
    requested count of all matches. `filters`: those that show the alerts that are drawn.
    """

    days: list[int]
    series: list[ChartSeries]
    tops: dict[str, list[TopValue]]
    heat: list[list[int]]
    acknowledge: dt.timedelta | None
    resolve: dt.timedelta | None
    partial: frozenset[str]
    limit: QueryLimit | None
    filters: Filters

    @property
    def acknowledged(self) -> str:
        """The query string of the acknowledged alerts; "" where the filters exclude them."""
        return self._having(Status.IN_PROGRESS, *CLOSED)

    @property
    def closed(self) -> str:
        """The query string of the closed alerts; "" where the filters exclude them."""
        return self._having(*CLOSED)

    def _having(self, *statuses: Status) -> str:
        kept = [status.value for status in statuses if status in self.filters.statuses]
        return self.filters.having("status", *kept).query if kept else ""


def charts(user: User, filters: Filters, days: int, split: str, *, everything: bool = False) -> Charts:
    """Return the charts of what opened in the last `days` days; without a status filter, of every status.

    `everything`: count all matches even where no tally applies.
    """
    if "status" not in filters.values:
        filters = filters.having("status", ANY)
    first = _first_day(days)
    found = chart_counts(user, filters, first, split, everything=everything)
    filters = filters.having("from", first.date().isoformat())
    return Charts(
        [round((first + dt.timedelta(days=day)).timestamp()) for day in range(days)],
        _series(found.rows["time"], filters, first, days, split),
        {title: _top_values(found.rows[dimension.value], filters, dimension) for dimension, title in TITLES.items()},
        _heat(found.rows["heat"]),
        _mean(found, "acknowledge"),
        _mean(found, "resolve"),
        found.partial,
        found.limit,
        filters,
    )


def _first_day(days: int) -> dt.datetime:
    today = timezone.now().replace(hour=0, minute=0, second=0, microsecond=0)
    return today - dt.timedelta(days=days - 1)


def _series(rows: Iterable[CountRow], filters: Filters, first: dt.datetime, days: int, split: str) -> list[ChartSeries]:
    by_value: dict[str, list[int]] = {}
    for day, value, count in rows:
        place = (dt.date.fromisoformat(day) - first.date()).days
        if place < days:  # a node's clock may be ahead
            by_value.setdefault(value, [0] * days)[place] += int(count)
    found = [value for value, each in by_value.items() if any(each)]
    largest = sorted(found, key=_status_order if split == "status" else lambda value: (-sum(by_value[value]), value))
    names = _names(split, largest[:TOP])
    return [
        ChartSeries(
            names.get(value, value) or "No rule",
            filters.having(SPLIT_FILTERS[split], value).query if value else filters.query,
            by_value[value],
            STATUS_COLOURS[value] if split == "status" else f"series-{place}",
        )
        for place, value in enumerate(largest[:TOP], 1)
    ]


def _status_order(value: str) -> int:
    """Return a status's place: each keeps its colour and its place whatever the counts are."""
    return Status.values.index(value)


def _names(split: str, values: list[str]) -> dict[str, str]:
    if split == "rule":
        return rule_names(values)
    return dict(Status.choices) if split == "status" else dict(Provider.choices)


def _top_values(rows: list[CountRow], filters: Filters, dimension: Dimension) -> list[TopValue]:
    names = binary_paths(key for key, _, _ in rows) if dimension == Dimension.BINARY else {}
    largest = rows[0][2] if rows else 1
    return [
        TopValue(
            names.get(key, key) or f"No {dimension.value}",
            filters.having(dimension.value, key).query,
            int(count),
            int(100 * count // largest),
        )
        for key, _, count in rows
    ]


def _heat(rows: Iterable[CountRow]) -> list[list[int]]:
    counted: Counter[tuple[int, int]] = Counter()
    for weekday, hour, count in rows:
        counted[int(weekday), int(hour)] += int(count)
    return [[counted[weekday, hour] for hour in range(24)] for weekday in range(1, 8)]


def _mean(found: ChartCounts, part: str) -> dt.timedelta | None:
    """Return a mean time; None where there is none yet."""
    times = [seconds for _, _, seconds in found.rows[part] if seconds is not None]
    return dt.timedelta(seconds=float(times[0])) if times else None
