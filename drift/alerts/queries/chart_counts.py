"""The counts that the charts draw: from the tallies where they apply, else from the newest alerts that match.

Tallies have the hour, cloud and status of all alerts, and without a filter their most frequent images, namespaces and
binaries. Any other filter, and a scope, reads the newest NEWEST matches, so its time is bounded. A user can request the
counts of all matches, for at most FULL_SCAN_SECONDS.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from django.core.exceptions import EmptyResultSet
from django.db import connection
from django.db.models import F, Q, QuerySet, Sum
from django.utils import timezone

from accounts.models import User
from drift.alerts.domain.filters import Filters
from drift.alerts.models import AlertTotal, Dimension, OpenedByHour, OpenedByPeriod, Period
from drift.alerts.queries.alert_list import matching_alerts
from drift.alerts.queries.query_limits import FULL_SCAN_SECONDS, QueryLimit, run_limited

NEWEST: Final = 2_500
TOP: Final = 8
TOPS: Final = (Dimension.IMAGE, Dimension.NAMESPACE, Dimension.BINARY)
COLUMNS: Final = {"status": "status", "cloud": "cluster__environment__provider", "rule": "rule_id"}
HOUR_COLUMNS: Final = {"status": "status", "cloud": "provider"}
CountRow = tuple[str, str, float]

PARTS: Final[Mapping[str, str]] = {
    "time": """SELECT 'time', day::text, value, count FROM (
        SELECT (at AT TIME ZONE 'UTC')::date AS day, value, sum(count) AS count FROM facts GROUP BY 1, 2) AS days""",
    "heat": """SELECT 'heat', weekday::text, hour::text, sum(count) FROM (
        SELECT date_part('isodow', at AT TIME ZONE 'UTC') AS weekday, date_part('hour', at AT TIME ZONE 'UTC') AS hour,
               sum(count) AS count
        FROM facts GROUP BY at) AS hours GROUP BY 2, 3""",
    "acknowledge": "SELECT 'acknowledge', '', '', sum(acknowledged_s) / nullif(sum(acknowledged), 0) FROM facts",
    "resolve": "SELECT 'resolve', '', '', sum(closed_s) / nullif(sum(closed), 0) FROM facts",
    **{
        dimension.value: f"""(SELECT '{dimension}', "{dimension}", '', sum(count) FROM facts
                              GROUP BY 2 ORDER BY 4 DESC, 2 LIMIT {TOP})"""  # noqa: S608 - of the constants above
        for dimension in TOPS
    },
    "all": "SELECT 'all', '', '', sum(count) FROM facts",
}
"""One SELECT over the facts for each part of the charts: rows of (part, two strings, number)."""
BY_HOUR: Final = ("heat", "acknowledge", "resolve")
FROM_HOURS: Final = """
WITH facts (at, value, count, acknowledged, acknowledged_s, closed, closed_s) AS MATERIALIZED ({rows})
"""
FROM_ALERTS: Final = """
WITH newest (at, value, image, namespace, "binary", verdict, created, acknowledged_at, closed_at)
AS MATERIALIZED ({rows}), facts AS (
    SELECT at, value, image, namespace, "binary"::text AS "binary", 1 AS count,
           (acknowledged_at IS NOT NULL AND verdict <> 'suppressed')::int AS acknowledged,
           CASE WHEN verdict <> 'suppressed' THEN extract(epoch FROM acknowledged_at - created) END AS acknowledged_s,
           (closed_at IS NOT NULL AND verdict <> 'suppressed')::int AS closed,
           CASE WHEN verdict <> 'suppressed' THEN extract(epoch FROM closed_at - created) END AS closed_s
    FROM newest
)
"""

LARGEST: Final = """
SELECT key, sum(count) FROM ({rows}) AS opened (dimension, key, count) WHERE dimension = %s
GROUP BY key HAVING sum(count) > 0 ORDER BY 2 DESC, 1 LIMIT %s
"""


@dataclass(frozen=True)
class ChartCounts:
    """Rows by part, and the parts that count only the newest NEWEST matches because there are more.

    `limit`: what prevented a requested count of all matches.
    """

    rows: Mapping[str, list[CountRow]]
    partial: frozenset[str] = field(default_factory=frozenset)
    limit: QueryLimit | None = None


def chart_counts(
    user: User, filters: Filters, first: dt.datetime, split: str, *, everything: bool = False
) -> ChartCounts:
    """Return the counts of the alerts that began since `first`, a midnight.

    `everything`: count all matches even where no tally applies.
    """
    named = set(filters.values) - ({"status"} if filters.has_all_statuses else set())
    # Tallies of hours and periods are those of the whole estate.
    is_tallied = user.scope.is_whole_estate and not filters.q
    unfiltered, by_hour = is_tallied and not named, is_tallied and named <= {"status", "provider"}
    rows: dict[str, list[CountRow]] = {}
    if by_hour:
        wanted = BY_HOUR if split == "rule" else ("time", *BY_HOUR)
        rows |= _part_rows(FROM_HOURS, _hours(user, filters, first, HOUR_COLUMNS.get(split, "status")), wanted)
    if unfiltered:
        opened = _opened_since(user, first.date())
        rows |= {dimension.value: _top(opened, dimension) for dimension in TOPS}
        rows |= {"time": _rule_days(user, first)} if split == "rule" else {}
    left = [part for part in PARTS if part not in rows and part != "all"]
    if not left:
        return ChartCounts(rows)
    matching = _matching(user, filters, first, COLUMNS[split])
    limit = None
    if everything:
        counted = run_limited(user, FULL_SCAN_SECONDS, lambda: _part_rows(FROM_ALERTS, matching, left))
        if not isinstance(counted, QueryLimit):
            return ChartCounts({**rows, **counted})
        limit = counted
    newest = matching.order_by("-first_seen", "-pk")[:NEWEST]
    found = _part_rows(FROM_ALERTS, newest, [*left, "all"])
    examined = sum(count or 0 for _, _, count in found.pop("all"))
    if examined < NEWEST:
        return ChartCounts({**rows, **found})
    return ChartCounts({**rows, **found}, frozenset(left), limit)


def _part_rows(source: str, rows: QuerySet[Any, Any], parts: Iterable[str]) -> dict[str, list[CountRow]]:
    """Return each part's rows, by one statement over the rows of the source."""
    found: dict[str, list[CountRow]] = {part: [] for part in parts}
    try:
        statement, values = rows.query.sql_with_params()
    except EmptyResultSet:  # a filter that no alert can match
        return found
    with connection.cursor() as cursor:
        cursor.execute(source.format(rows=statement) + " UNION ALL ".join(PARTS[part] for part in found), values)
        for part, *row in cursor.fetchall():
            found[part].append((row[0], row[1], row[2]))
    return found


def _hours(user: User, filters: Filters, first: dt.datetime, column: str) -> QuerySet[Any, Any]:
    sums = ("count", "acknowledged", "acknowledged_seconds", "closed", "closed_seconds")
    hours = OpenedByHour.objects.visible_to(user).filter(hour__gte=first, status__in=filters.statuses)
    if "provider" in filters.values:
        hours = hours.filter(provider__in=filters.values["provider"])
    rows: QuerySet[Any, Any] = hours.values_list("hour", column, *sums)
    return rows


def _matching(user: User, filters: Filters, first: dt.datetime, column: str) -> QuerySet[Any, Any]:
    found = matching_alerts(user, filters).filter(first_seen__gte=first)
    columns = ("image_name", "namespace", "binary", "verdict", "created_at", "acknowledged_at", "closed_at")
    return found.order_by().values_list("first_seen", column, *columns)


def _opened_since(user: User, first: dt.date) -> QuerySet[Any, Any]:
    """Return rows of (dimension, key, count) to add up: those of the period, or the totals less those before it.

    Alerts are kept for little longer than a chart shows, so there is often less to read before its first day.
    """
    periods = OpenedByPeriod.objects.visible_to(user)
    # Rules have the fewest keys, so their weeks are the fastest way to find the oldest one.
    weeks = periods.filter(dimension=Dimension.RULE, period=Period.WEEK)
    oldest = weeks.order_by("start").values_list("start", flat=True).first() or first
    columns = ("dimension", "key", "counted")
    if (first - oldest).days * 2 > (timezone.now().date() - first).days:
        later: QuerySet[Any, Any] = (
            periods.filter(periods_since(first)).annotate(counted=F("count")).values_list(*columns)
        )
        return later
    everything: QuerySet[Any, Any] = AlertTotal.objects.visible_to(user).annotate(counted=F("count"))
    earlier: QuerySet[Any, Any] = periods.filter(periods_before(first)).annotate(counted=-F("count"))
    return everything.values_list(*columns).union(earlier.values_list(*columns), all=True)


def _top(opened: QuerySet[Any, Any], dimension: Dimension) -> list[CountRow]:
    statement, values = opened.query.sql_with_params()
    with connection.cursor() as cursor:
        cursor.execute(LARGEST.format(rows=statement), [*values, dimension, TOP])
        return [(key, "", int(count)) for key, count in cursor.fetchall()]


def periods_since(first: dt.date) -> Q:
    """Return the periods from a day on: whole weeks from the first Monday, and the days before it."""
    monday = first + dt.timedelta(days=-first.weekday() % 7)
    return Q(period=Period.WEEK, start__gte=monday) | Q(period=Period.DAY, start__gte=first, start__lt=monday)


def periods_before(first: dt.date) -> Q:
    """Return the periods until a day: whole weeks until the last Monday, and the days from it on."""
    monday = first - dt.timedelta(days=first.weekday())
    return Q(period=Period.WEEK, start__lt=monday) | Q(period=Period.DAY, start__gte=monday, start__lt=first)


def _rule_days(user: User, first: dt.datetime) -> list[CountRow]:
    rows = OpenedByPeriod.objects.visible_to(user).filter(
        dimension=Dimension.RULE, period=Period.DAY, start__gte=first.date()
    )
    sums = rows.values_list("start", "key").annotate(n=Sum("count")).filter(n__gt=0).order_by()
    return [(day.isoformat(), rule, count) for day, rule, count in sums]
