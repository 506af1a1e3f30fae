"""The charts: alerts over time, who has most of them, how long people take, at what hours."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from django.utils import timezone

from accounts.models import User
from drift.alerts.models import CLOSED, Dimension, Status
from drift.alerts.queries.alert_groups import binary_paths, rule_names
from drift.alerts.queries.chart_counts import TOP, Counts, Row, counts
from drift.alerts.queries.filters import ANY, Filters
from drift.alerts.queries.query_limits import Short
from drift.fleet.models import Provider

DAYS: Final = (7, 30, 90)
SPLITS: Final = {"status": "Status", "cloud": "Cloud", "rule": "Rule"}
FILTER_OF: Final = {"status": "status", "cloud": "provider", "rule": "rule"}
"""Which filter a series opens."""
TITLES: Final = {Dimension.IMAGE: "Images", Dimension.NAMESPACE: "Namespaces", Dimension.BINARY: "Binaries"}


@dataclass(frozen=True)
class Series:
    """One line of a chart: its name, the query string that shows its alerts, and a count for each day."""

    name: str
    query: str
    counts: list[int]


@dataclass(frozen=True)
class Bar:
    """One of the most frequent values, and the query string that shows its alerts."""

    name: str
    query: str
    count: int
    width: int


@dataclass(frozen=True)
class Charts:
    """Each day's start in seconds since 1970; series and bars, the largest first; counts by weekday (Monday first)
    and hour (UTC); mean times; which parts are about the newest NEWEST alerts that match, because there are more, and
    why so if all were asked for (`short`); and the filters that show what is drawn.
    """

    days: list[int]
    series: list[Series]
    tops: dict[str, list[Bar]]
    heat: list[list[int]]
    acknowledge: dt.timedelta | None
    resolve: dt.timedelta | None
    partial: frozenset[str]
    short: Short | None
    filters: Filters

    @property
    def acknowledged(self) -> str:
        """The query string of the alerts that people have looked at; "" where the filters let through none of them."""
        return self._having(Status.IN_PROGRESS, *CLOSED)

    @property
    def closed(self) -> str:
        """The query string of the alerts that people closed; "" where the filters let through none of them."""
        return self._having(*CLOSED)

    def _having(self, *statuses: Status) -> str:
        kept = [status.value for status in statuses if status in self.filters.statuses]
        return self.filters.having("status", *kept).query if kept else ""


def charts(user: User, filters: Filters, days: int, split: str, *, everything: bool = False) -> Charts:
    """What opened in the last `days` days; without a status filter, of every status.

    `everything`: of all alerts that match, if that takes no longer than SECONDS, where no tally helps too.
    """
    if "status" not in filters.values:
        filters = filters.having("status", ANY)
    first = _first_day(days)
    found = counts(user, filters, first, split, everything=everything)
    filters = filters.having("from", first.date().isoformat())
    return Charts(
        [round((first + dt.timedelta(days=day)).timestamp()) for day in range(days)],
        _series(found.rows["time"], filters, first, days, split),
        {title: _bars(found.rows[dimension.value], filters, dimension) for dimension, title in TITLES.items()},
        _heat(found.rows["heat"]),
        _mean(found, "acknowledge"),
        _mean(found, "resolve"),
        found.partial,
        found.short,
        filters,
    )


def _first_day(days: int) -> dt.datetime:
    today = timezone.now().replace(hour=0, minute=0, second=0, microsecond=0)
    return today - dt.timedelta(days=days - 1)


def _series(rows: Iterable[Row], filters: Filters, first: dt.datetime, days: int, split: str) -> list[Series]:
    by_value: dict[str, list[int]] = {}
    for day, value, count in rows:
        place = (dt.date.fromisoformat(day) - first.date()).days
        if place < days:  # a clock may be ahead
            by_value.setdefault(value, [0] * days)[place] += int(count)
    largest = sorted((value for value, each in by_value.items() if any(each)), key=lambda value: -sum(by_value[value]))
    names = _names(split, largest[:TOP])
    return [
        Series(
            names.get(value, value) or "No rule",
            filters.having(FILTER_OF[split], value).query if value else filters.query,
            by_value[value],
        )
        for value in largest[:TOP]
    ]


def _names(split: str, values: list[str]) -> dict[str, str]:
    if split == "rule":
        return rule_names(values)
    return dict(Status.choices) if split == "status" else dict(Provider.choices)


def _bars(rows: list[Row], filters: Filters, dimension: Dimension) -> list[Bar]:
    names = binary_paths([key for key, _, _ in rows]) if dimension == Dimension.BINARY else {}
    most = rows[0][2] if rows else 1
    return [
        Bar(
            names.get(key, key) or f"No {dimension.value}",
            filters.having(dimension.value, key).query,
            int(count),
            int(100 * count // most),
        )
        for key, _, count in rows
    ]


def _heat(rows: Iterable[Row]) -> list[list[int]]:
    counted: Counter[tuple[int, int]] = Counter()
    for weekday, hour, count in rows:
        counted[int(weekday), int(hour)] += int(count)
    return [[counted[weekday, hour] for hour in range(24)] for weekday in range(1, 8)]


def _mean(found: Counts, part: str) -> dt.timedelta | None:
    """A mean time; None where nobody did it yet."""
    times = [seconds for _, _, seconds in found.rows[part] if seconds is not None]
    return dt.timedelta(seconds=float(times[0])) if times else None
