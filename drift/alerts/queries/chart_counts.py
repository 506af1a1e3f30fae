"""The numbers under the charts: from the tallies where those can tell, else from the newest alerts that match.

Tallies know the hour, the cloud and the status of all alerts, and without any filter what most of them are about. Any
other filter asks the alerts themselves, the newest NEWEST of them, so that the time it takes is bounded. Who asks for
all of them waits at most SECONDS.
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
from drift.alerts.models import AlertTotal, Dimension, OpenedByHour, OpenedByPeriod, Period, Status
from drift.alerts.queries.alert_groups import SECONDS
from drift.alerts.queries.alert_list import alerts_of
from drift.alerts.queries.filters import Filters
from drift.alerts.queries.query_limits import Short, in_turn

NEWEST: Final = 2_500
TOP: Final = 8
TOPS: Final = (Dimension.IMAGE, Dimension.NAMESPACE, Dimension.BINARY)
COLUMNS: Final = {"status": "status", "cloud": "cluster__environment__provider", "rule": "rule_id"}
HOUR_COLUMNS: Final = {"status": "status", "cloud": "provider"}
Row = tuple[str, str, float]

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
"""What is asked of the facts, each as rows of (part, two texts, number)."""
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
class Counts:
    """Rows by part, and the parts that are about the newest NEWEST alerts because there are more.

    `short`: why so, where all of them were asked for.
    """

    rows: Mapping[str, list[Row]]
    partial: frozenset[str] = field(default_factory=frozenset)
    short: Short | None = None


def counts(user: User, filters: Filters, first: dt.datetime, split: str, *, everything: bool = False) -> Counts:
    """Of the alerts that began since `first`, a midnight; without a status filter, of every status.

    `everything`: of all that match, where no tally helps too.
    """
    named = set(filters.values) - ({"status"} if set(filters.statuses) == set(Status.values) else set())
    unfiltered, by_hour = not (filters.q or named), not filters.q and named <= {"status", "provider"}
    rows: dict[str, list[Row]] = {}
    if by_hour:
        wanted = BY_HOUR if split == "rule" else ("time", *BY_HOUR)
        rows |= _ask(FROM_HOURS, _hours(user, filters, first, HOUR_COLUMNS.get(split, "status")), wanted)
    if unfiltered:
        opened = _opened_since(user, first.date())
        rows |= {dimension.value: _top(opened, dimension) for dimension in TOPS}
        rows |= {"time": _rule_days(user, first)} if split == "rule" else {}
    left = [part for part in PARTS if part not in rows and part != "all"]
    if not left:
        return Counts(rows)
    matching = _matching(user, filters, first, COLUMNS[split])
    short = None
    if everything:
        asked = in_turn(user, SECONDS, lambda: _ask(FROM_ALERTS, matching, left))
        if not isinstance(asked, Short):
            return Counts({**rows, **asked})
        short = asked
    newest = matching.order_by("-first_seen", "-pk")[:NEWEST]
    found = _ask(FROM_ALERTS, newest, [*left, "all"])
    looked_at = sum(count or 0 for _, _, count in found.pop("all"))
    if looked_at < NEWEST:
        return Counts({**rows, **found})
    return Counts({**rows, **found}, frozenset(left), short)


def _ask(source: str, rows: QuerySet[Any, Any], parts: Iterable[str]) -> dict[str, list[Row]]:
    """Each part's rows, by one statement over the rows of the source."""
    asked: dict[str, list[Row]] = {part: [] for part in parts}
    try:
        statement, values = rows.query.sql_with_params()
    except EmptyResultSet:  # a filter that nothing can meet
        return asked
    with connection.cursor() as cursor:
        cursor.execute(source.format(rows=statement) + " UNION ALL ".join(PARTS[part] for part in asked), values)
        for part, *row in cursor.fetchall():
            asked[part].append((row[0], row[1], row[2]))
    return asked


def _hours(user: User, filters: Filters, first: dt.datetime, column: str) -> QuerySet[Any, Any]:
    sums = ("count", "acknowledged", "acknowledged_seconds", "closed", "closed_seconds")
    hours = OpenedByHour.objects.visible_to(user).filter(hour__gte=first, status__in=filters.statuses)
    if "provider" in filters.values:
        hours = hours.filter(provider__in=filters.values["provider"])
    rows: QuerySet[Any, Any] = hours.values_list("hour", column, *sums)
    return rows


def _matching(user: User, filters: Filters, first: dt.datetime, column: str) -> QuerySet[Any, Any]:
    found = alerts_of(user, filters).filter(first_seen__gte=first)
    columns = ("image_name", "namespace", "binary", "verdict", "created_at", "acknowledged_at", "closed_at")
    return found.order_by().values_list("first_seen", column, *columns)


def _opened_since(user: User, first: dt.date) -> QuerySet[Any, Any]:
    """Rows of (dimension, key, count) to be added up: what opened from a day on, or all there is less what did before.

    Alerts are not kept for much longer than a chart shows, so before its first day there is often little to read.
    """
    periods = OpenedByPeriod.objects.visible_to(user)
    weeks = periods.filter(dimension=Dimension.RULE, period=Period.WEEK)  # of the fewest keys
    oldest = weeks.order_by("start").values_list("start", flat=True).first() or first
    columns = ("dimension", "key", "counted")
    if (first - oldest).days * 2 > (timezone.now().date() - first).days:
        later: QuerySet[Any, Any] = periods.filter(since(first)).annotate(counted=F("count")).values_list(*columns)
        return later
    everything: QuerySet[Any, Any] = AlertTotal.objects.visible_to(user).annotate(counted=F("count"))
    earlier: QuerySet[Any, Any] = periods.filter(before(first)).annotate(counted=-F("count"))
    return everything.values_list(*columns).union(earlier.values_list(*columns), all=True)


def _top(opened: QuerySet[Any, Any], dimension: Dimension) -> list[Row]:
    statement, values = opened.query.sql_with_params()
    with connection.cursor() as cursor:
        cursor.execute(LARGEST.format(rows=statement), [*values, dimension, TOP])
        return [(key, "", int(count)) for key, count in cursor.fetchall()]


def since(first: dt.date) -> Q:
    """The periods from a day on: whole weeks from the first Monday, the days before it."""
    monday = first + dt.timedelta(days=-first.weekday() % 7)
    return Q(period=Period.WEEK, start__gte=monday) | Q(period=Period.DAY, start__gte=first, start__lt=monday)


def before(first: dt.date) -> Q:
    """The periods until a day: whole weeks until the last Monday, the days from it on."""
    monday = first - dt.timedelta(days=first.weekday())
    return Q(period=Period.WEEK, start__lt=monday) | Q(period=Period.DAY, start__gte=monday, start__lt=first)


def _rule_days(user: User, first: dt.datetime) -> list[Row]:
    rows = OpenedByPeriod.objects.visible_to(user).filter(
        dimension=Dimension.RULE, period=Period.DAY, start__gte=first.date()
    )
    sums = rows.values_list("start", "key").annotate(n=Sum("count")).filter(n__gt=0).order_by()
    return [(day.isoformat(), rule, count) for day, rule, count in sums]
