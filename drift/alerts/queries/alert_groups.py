"""Alerts grouped by what they have in common: one row to open, one verdict for all.

Tallies tell the groups of all alerts, by status and by where they are. Incidents, of which there may be as many as
alerts, are walked from the newest. Under any other filter the newest NEWEST alerts that match are grouped, and the page
says so: the time it takes does not grow with the number of alerts. Whoever asks for all of them waits at most SECONDS.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, Final

from django.core.exceptions import EmptyResultSet
from django.db import connection
from django.db.models import F, Max, Min, QuerySet, Sum

from accounts.models import User
from drift.alerts.models import OPEN, AlertGroup, AlertTotal, Binary, Dimension, Incident, Status
from drift.alerts.queries.alert_list import MANY, alerts_of
from drift.alerts.queries.filters import NONE, Filters
from drift.alerts.queries.paging import MOST
from drift.alerts.queries.query_limits import Short, in_turn
from drift.fleet.models import Cluster

NEWEST: Final = 2_500
"""Alerts that are grouped where no tally helps, newest first."""
SECONDS: Final = 5
"""How long it may take to group, or to draw, all alerts that match where no tally helps and somebody asks for it."""
PAGE: Final = 100
PLACES: Final = frozenset({"cluster", "environment", "provider"})
"""Filters that tallies by cluster know, besides the status."""
Names = Callable[[Iterable[Any]], dict[str, str]]


@dataclass(frozen=True)
class Grouping:
    """What alerts are grouped by: the column, the tally of it, and how its values are named."""

    label: str
    column: str
    dimension: Dimension | None
    names: Names


@dataclass(frozen=True)
class GroupRow:
    """One group: its name, the query string of its alerts, how many there are, from when to when.

    `bounded`: counted no further than one past MANY.
    """

    name: str
    query: str
    count: int
    resources: int
    first: dt.datetime
    last: dt.datetime
    bounded: bool = False


@dataclass(frozen=True)
class Grouped:
    """A page of groups, where the next one starts (0: nowhere), and whether only the newest alerts were grouped.

    `short`: why so, where all of them were asked for.
    """

    rows: list[GroupRow]
    next: int
    partial: bool = False
    short: Short | None = None


def _as_they_are(values: Iterable[Any]) -> dict[str, str]:
    return {value: value for value in values if value}


def _clusters(values: Iterable[Any]) -> dict[str, str]:
    return {str(pk): name for pk, name in Cluster.objects.filter(pk__in=values).values_list("pk", "name")}


def binary_paths(values: Iterable[Any]) -> dict[str, str]:
    """The paths of binaries, by their numbers as text."""
    return {str(pk): path for pk, path in Binary.objects.filter(pk__in=values).values_list("pk", "path")}


RULE_NAMES: Final = """
SELECT wanted.rule, newest.rule_name FROM unnest(%s::text[]) AS wanted (rule) CROSS JOIN LATERAL (
    SELECT rule_name FROM alerts_alert WHERE rule_id = wanted.rule ORDER BY first_seen DESC, id DESC LIMIT 1
) AS newest
"""


def rule_names(values: Iterable[Any]) -> dict[str, str]:
    """The names that rules had when they last made an alert."""
    with connection.cursor() as cursor:
        cursor.execute(RULE_NAMES, [[value for value in values if value]])
        return {rule: name or rule for rule, name in cursor.fetchall()}


def _incidents(values: Iterable[Any]) -> dict[str, str]:
    rows = Incident.objects.filter(pk__in=values).values_list("pk", "container_id", "cluster__name", "ancestors")
    return {str(row[0]): _incident_name(*row) for row in rows}


def _incident_name(pk: int, container: str, cluster: str, ancestors: list[str]) -> str:
    programs = ", ".join(dict.fromkeys(each.partition(" ")[2] for each in ancestors[:4]))
    return f"Incident {pk}: container {container[:12]} in {cluster}" + (f", by {programs}" if programs else "")


GROUPINGS: Final[dict[str, Grouping]] = {
    "incident": Grouping("Incident", "incident", None, _incidents),
    "rule": Grouping("Rule", "rule_id", Dimension.RULE, rule_names),
    "image": Grouping("Image", "image_name", Dimension.IMAGE, _as_they_are),
    # Every dimension knows the cluster; the one with the fewest keys is the quickest to add up.
    "cluster": Grouping("Cluster", "cluster", Dimension.RULE, _clusters),
    "namespace": Grouping("Namespace", "namespace", Dimension.NAMESPACE, _as_they_are),
    "binary": Grouping("Binary", "binary", Dimension.BINARY, binary_paths),
}
"""By the name of the filter that opens a group."""


Row = tuple[Any, int, int, dt.datetime, dt.datetime]
"""Key, alerts, clusters, when the first and the last began."""


def grouped(user: User, filters: Filters, name: str, after: int = 0, *, everything: bool = False) -> Grouped:
    """A page of the groups of GROUPINGS[name], the largest first; incidents the newest first.

    `after` is the `next` of the page before. `everything`: of all alerts that match, where no tally helps too.
    """
    named = set(filters.values) - {"status"}
    if name == "incident" and not (named or filters.q) and set(filters.statuses) in WALKED:
        return _walked(filters, after)
    if name != "incident" and not filters.q and named <= PLACES:
        return _page(_tallied(user, filters, name, after), filters, name, after)
    if not everything:
        rows, partial = _newest(user, filters, name, after)
        return replace(_page(rows, filters, name, after), partial=partial)
    found = in_turn(user, SECONDS, lambda: _all(user, filters, name, after))
    if not isinstance(found, Short):
        return _page(found, filters, name, after)
    rows, partial = _newest(user, filters, name, 0)  # of those there may be no page so far behind
    return replace(_page(rows, filters, name, 0), partial=partial, short=found if partial else None)


def _page(rows: list[Row], filters: Filters, name: str, after: int) -> Grouped:
    return Grouped(_named(rows[:PAGE], filters, name), after + PAGE if len(rows) > PAGE else 0)


def _named(rows: list[Row], filters: Filters, name: str, *, bounded: bool = False) -> list[GroupRow]:
    grouping = GROUPINGS[name]
    names = grouping.names([row[0] for row in rows if row[0]])
    return [
        GroupRow(
            names.get(str(key), str(key or f"No {grouping.label.lower()}")),
            filters.having(name, NONE if key is None else str(key)).query,
            count,
            clusters,
            first,
            last,
            bounded,
        )
        for key, count, clusters, first, last in rows
    ]


SUMS: Final = {"n": Sum("count"), "first": Min("first_seen"), "last": Max("last_seen")}


def _tallied(user: User, filters: Filters, name: str, after: int) -> list[Row]:
    """By the tally of clusters where those are asked for; else the totals say which keys are on the page."""
    by_cluster = AlertGroup.objects.visible_to(user).filter(
        filters.condition(user), dimension=GROUPINGS[name].dimension
    )
    if name != "cluster" and not set(filters.values) & PLACES:
        totals = AlertTotal.objects.visible_to(user).filter(
            dimension=GROUPINGS[name].dimension, status__in=filters.statuses
        )
        sums = totals.values_list("key").annotate(n=Sum("count")).filter(n__gt=0).order_by("-n", "key")
        keys = [key for key, _ in sums[after : after + PAGE + 1]]
        by_cluster, after = by_cluster.filter(key__in=keys), 0
    key = "cluster" if name == "cluster" else "key"
    counted = by_cluster.values_list(F(key), F("cluster")).annotate(**SUMS).filter(n__gt=0).order_by()
    return _largest(counted, "{counted}", name, after)[0]


def _all(user: User, filters: Filters, name: str, after: int) -> list[Row]:
    found = alerts_of(user, filters).order_by().values_list(GROUPINGS[name].column, "cluster", "first_seen")
    return _largest(found, BY_CLUSTER, name, after)[0]


def _newest(user: User, filters: Filters, name: str, after: int) -> tuple[list[Row], bool]:
    """Of the newest NEWEST alerts that match; whether those are all there may be."""
    found = alerts_of(user, filters).order_by("-first_seen", "-pk")
    newest = found.values_list(GROUPINGS[name].column, "cluster", "first_seen")[:NEWEST]
    rows, count = _largest(newest, BY_CLUSTER, name, after)
    return rows, count >= NEWEST


BY_CLUSTER: Final = """
SELECT key, cluster, count(*), min(first_seen), max(first_seen)
FROM ({counted}) AS newest (key, cluster, first_seen) GROUP BY 1, 2
"""
LARGEST: Final = """
SELECT key, sum(count), count(*), min(first_seen), max(last_seen), sum(sum(count)) OVER ()
FROM ({counted}) AS counted (key, cluster, count, first_seen, last_seen)
GROUP BY key ORDER BY {order} LIMIT %s OFFSET %s
"""


def _largest(found: QuerySet[Any, Any], by_cluster: str, name: str, after: int) -> tuple[list[Row], int]:
    """(A page of groups and one more, how many alerts there are in all groups)."""
    try:
        statement, values = found.query.sql_with_params()
    except EmptyResultSet:  # a filter that nothing can meet
        return [], 0
    order = "1 DESC NULLS LAST" if name == "incident" else "2 DESC, 1"
    counted = by_cluster.format(counted=statement)
    with connection.cursor() as cursor:
        cursor.execute(LARGEST.format(counted=counted, order=order), [*values, PAGE + 1, after])
        rows = cursor.fetchall()
    page = [(key, int(count), clusters, first, last) for key, count, clusters, first, last, _ in rows]
    return page, int(rows[0][-1]) if rows else 0


WALKED: Final = (set(OPEN), set(Status))
"""The statuses that an index on incidents knows: open, or any."""
WALK: Final = """
WITH RECURSIVE walk (incident) AS (
    (SELECT incident_id FROM alerts_alert WHERE {holds} AND incident_id < %(before)s ORDER BY 1 DESC LIMIT 1)
    UNION ALL
    SELECT (SELECT incident_id FROM alerts_alert WHERE {holds} AND incident_id < walk.incident ORDER BY 1 DESC LIMIT 1)
    FROM walk WHERE walk.incident IS NOT NULL
)
SELECT walked.incident, counted.* FROM (SELECT incident FROM walk LIMIT %(page)s) AS walked CROSS JOIN LATERAL (
    {counted} AND incident_id = walked.incident LIMIT %(many)s) AS alert
) AS counted WHERE walked.incident IS NOT NULL
"""
"""Each step is one look into an index; how many incidents there are does not matter."""
COUNTED: Final = """
SELECT count(*), count(DISTINCT cluster_id), min(first_seen), max(first_seen)
FROM (SELECT cluster_id, first_seen FROM alerts_alert WHERE {holds}"""
WITHOUT: Final = (
    "SELECT NULL::bigint, counted.* FROM ({counted} AND incident_id IS NULL LIMIT %(many)s) AS alert) AS counted"
)


def _walked(filters: Filters, before: int) -> Grouped:
    """Incidents from the newest, or from the one numbered below `before`; at the end what has none."""
    holds = "true" if set(filters.statuses) == set(Status) else f"status IN {tuple(status.value for status in OPEN)}"
    asked = {"before": before or MOST - 1, "page": PAGE + 1, "many": MANY + 1}
    counted = COUNTED.format(holds=holds)
    with connection.cursor() as cursor:
        cursor.execute(WALK.format(holds=holds, counted=counted), asked)
        rows = cursor.fetchall()
        more = len(rows) > PAGE
        if not more:
            cursor.execute(WITHOUT.format(counted=counted), asked)
            rows += [row for row in cursor.fetchall() if row[1]]
    page = rows[: PAGE if more else None]
    return Grouped(_named(page, filters, "incident", bounded=True), page[-1][0] if more else 0)
