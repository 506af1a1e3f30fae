"""Numbers for the charts: alerts over time, who has most of them, how long people take, at what hours.

Each is one query over the alerts of the chosen days, whatever their status, MOST of them at most.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from dataclasses import dataclass
from typing import Any, Final

from django.db.models import Avg, Count, F, Q, QuerySet
from django.db.models.functions import ExtractHour, ExtractIsoWeekDay, TruncDay
from django.utils import timezone

from accounts.models import User
from drift.alerts.filters import ANY, Filters
from drift.alerts.grouping import rule_names
from drift.alerts.models import Alert, Status
from drift.fleet.models import Provider

DAYS: Final = (7, 30, 90)
TOP: Final = 8
SPLITS: Final = {"status": "Status", "cloud": "Cloud", "rule": "Rule"}
COLUMNS: Final = {"status": "status", "cloud": "cluster__environment__provider", "rule": "rule_id"}
FILTER_OF: Final = {"status": "status", "cloud": "provider", "rule": "rule"}
"""Which filter a series opens."""
MOST: Final = 100_000
"""Alerts that the charts look at, newest first: so the time they take is bounded."""


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


def chosen(user: User, filters: Filters, days: int) -> QuerySet[Alert]:
    """The alerts that opened in the last `days` days; without a status filter, of every status."""
    if "status" not in filters.values:
        filters = filters.having("status", ANY)
    since = _first_day(days)
    found: QuerySet[Alert] = Alert.objects.visible_to(user).filter(filters.condition(user), first_seen__gte=since)
    cut = found.order_by("-first_seen", "-pk").values_list("first_seen", flat=True)[MOST : MOST + 1].first()
    return found.filter(first_seen__gt=cut) if cut else found


def _first_day(days: int) -> dt.datetime:
    today = timezone.now().replace(hour=0, minute=0, second=0, microsecond=0)
    return today - dt.timedelta(days=days - 1)


def over_time(found: QuerySet[Alert], filters: Filters, days: int, split: str) -> tuple[list[int], list[Series]]:
    """(Each day's start in seconds since 1970, the series of `split`, the largest first)."""
    column, first = COLUMNS[split], _first_day(days)
    rows = found.annotate(day=TruncDay("first_seen", tzinfo=dt.UTC)).values("day", column).annotate(count=Count("pk"))
    counts: dict[str, list[int]] = {}
    for day, value, count in rows.order_by().values_list("day", column, "count"):
        counts.setdefault(value, [0] * days)[(day - first).days] += count
    largest = sorted(counts, key=lambda value: -sum(counts[value]))[:TOP]
    stamps = [round((first + dt.timedelta(days=day)).timestamp()) for day in range(days)]
    return stamps, [_series(split, value, filters, counts[value]) for value in largest]


def _series(split: str, value: str, filters: Filters, counts: list[int]) -> Series:
    names: dict[str, str] = {"status": dict(Status.choices), "cloud": dict(Provider.choices)}.get(split) or {}
    if split == "rule":
        names = rule_names([value])
    if "status" not in filters.values and split != "status":
        filters = filters.having("status", ANY)
    query = filters.having(FILTER_OF[split], value).query if value else filters.query
    return Series(names.get(value, value) or "No rule", query, counts)


def top(found: QuerySet[Alert], filters: Filters, column: str, name: str) -> list[Bar]:
    """The values of a column that most alerts have; `name` is the filter that shows them."""
    rows = list(found.values_list(column).annotate(count=Count("pk")).order_by("-count", column)[:TOP])
    most = rows[0][1] if rows else 1
    everything = filters if "status" in filters.values else filters.having("status", ANY)
    return [
        Bar(str(value or "–"), everything.having(name, str(value)).query if value else "", count, 100 * count // most)
        for value, count in rows
    ]


def top_binaries(found: QuerySet[Alert], filters: Filters) -> list[Bar]:
    """The binaries that most alerts are about, by their paths."""
    bars = top(found, filters, "binary", "binary")
    ids = [int(bar.name) for bar in bars if bar.name.isdigit()]
    paths = dict(Alert.objects.filter(binary__in=ids).values_list("binary", "binary__path").distinct())
    return [Bar(paths.get(int(bar.name), bar.name), bar.query, bar.count, bar.width) for bar in bars]


def times(found: QuerySet[Alert]) -> dict[str, dt.timedelta | None]:
    """The mean time to acknowledge and to resolve; what a rule suppressed was no person's work."""
    worked = found.filter(suppressed_by=None)
    means: dict[str, Any] = worked.aggregate(
        acknowledge=Avg(F("acknowledged_at") - F("created_at"), filter=Q(acknowledged_at__isnull=False)),
        resolve=Avg(F("closed_at") - F("created_at"), filter=Q(closed_at__isnull=False)),
    )
    return means


def heat(found: QuerySet[Alert]) -> list[list[int]]:
    """Alerts by weekday (Monday first) and hour (UTC)."""
    rows = found.annotate(
        weekday=ExtractIsoWeekDay("first_seen", tzinfo=dt.UTC), hour=ExtractHour("first_seen", tzinfo=dt.UTC)
    )
    counted: Counter[tuple[int, int]] = Counter()
    for weekday, hour, count in rows.values_list("weekday", "hour").annotate(count=Count("pk")).order_by():
        counted[weekday, hour] = count
    return [[counted[weekday, hour] for hour in range(24)] for weekday in range(1, 8)]
