"""Alerts grouped by what they have in common, so that one resolution can close them all.

Tallies have the groups of all alerts by status and place. Incidents, which can be as many as alerts, are walked from
the newest. Under any other filter the newest NEWEST matches are grouped, and the page shows that: its time does not
grow with the number of alerts. A user can request the groups of all matches, for at most FULL_SCAN_SECONDS.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from django.core.exceptions import EmptyResultSet
from django.db import connection
from django.db.models import F, Max, Min, QuerySet, Sum

from accounts.models import User
from drift.alerts.domain.alert_wording import MAX_COUNT, ORIGINS, SESSIONS
from drift.alerts.domain.filters import NONE, OPEN_STATUSES, Filters
from drift.alerts.models import OPEN, AlertGroup, AlertTotal, Binary, Dimension, Incident, Status
from drift.alerts.queries.alert_list import matching_alerts
from drift.alerts.queries.filter_conditions import filter_condition
from drift.alerts.queries.places import cluster_tallies, namespace_groups, visible_clusters
from drift.alerts.queries.query_limits import FULL_SCAN_SECONDS, QueryLimit, run_limited
from drift.web.requests import MAX_BIGINT

NEWEST: Final = 2_500
"""Newest matches that are grouped where no tally applies."""
PAGE_SIZE: Final = 100
PLACES: Final = frozenset({"cluster", "environment", "provider"})
"""Filters that the tallies by cluster apply, besides the status."""
NONE_IF_EMPTY: Final = frozenset({"session", "writer_origin"})
"""Groupings whose empty value, and NULL in alerts from before their column, are one group: the filter's NONE."""
Names = Callable[[User, Iterable[Any]], dict[str, str]]


@dataclass(frozen=True)
class Grouping:
    """A grouping of alerts: its column, its tally, and the names of its values."""

    label: str
    column: str
    dimension: Dimension | None
    names: Names


@dataclass(frozen=True)
class GroupRow:
    """One group: its name, the query string of its alerts, their count, their clusters, first and last start.

    `bounded`: counted to at most one more than MAX_COUNT.
    """

    name: str
    query: str
    count: int
    resources: int
    first: dt.datetime
    last: dt.datetime
    bounded: bool = False


@dataclass(frozen=True)
class GroupPage:
    """A page of groups, the cursor of the next page (0 on the last), and whether only the newest alerts are grouped.

    `limit`: what prevented a requested grouping of all matches.
    """

    rows: list[GroupRow]
    next: int
    partial: bool = False
    limit: QueryLimit | None = None


def _unchanged(_: User, values: Iterable[Any]) -> dict[str, str]:
    return {value: value for value in values if value}


def _worded(values: Iterable[Any], words: Mapping[str, str]) -> dict[str, str]:
    return {value: words.get(value, value) for value in values}


def _clusters(user: User, values: Iterable[Any]) -> dict[str, str]:
    return {str(pk): name for pk, name in visible_clusters(user).filter(pk__in=values).values_list("pk", "name")}


def binary_paths(values: Iterable[Any]) -> dict[str, str]:
    """Return the paths of binaries that alerts in the user's scope have, by their numbers as strings.

    Whether a user sees a binary takes all their alerts to find out: do not ask it of what their alerts were grouped by.
    """
    return {str(pk): path for pk, path in Binary.objects.filter(pk__in=values).values_list("pk", "path")}


RULE_NAMES: Final = """
SELECT wanted.rule, newest.rule_name FROM unnest(%s::text[]) AS wanted (rule) CROSS JOIN LATERAL (
    SELECT rule_name FROM alerts_alert WHERE rule_id = wanted.rule ORDER BY first_seen DESC, id DESC LIMIT 1
) AS newest
"""


def rule_names(values: Iterable[Any]) -> dict[str, str]:
    """Return the name that each rule had when it last opened an alert, whichever: everybody sees the policy."""
    with connection.cursor() as cursor:
        cursor.execute(RULE_NAMES, [[value for value in values if value]])
        return {rule: name or rule for rule, name in cursor.fetchall()}


def _incidents(user: User, values: Iterable[Any]) -> dict[str, str]:
    rows = (
        Incident.objects.visible_to(user)
        .filter(pk__in=values)
        .values_list("pk", "container_id", "cluster__name", "ancestors")
    )
    return {str(row[0]): _incident_name(*row) for row in rows}


def _incident_name(pk: int, container: str, cluster: str, ancestors: list[str]) -> str:
    programs = ", ".join(dict.fromkeys(each.partition(" ")[2] for each in ancestors[:4]))
    return f"Incident {pk}: container {container[:12]} in {cluster}" + (f", by {programs}" if programs else "")


GROUPINGS: Final[dict[str, Grouping]] = {
    "incident": Grouping("Incident", "incident", None, _incidents),
    "rule": Grouping("Rule", "rule_id", Dimension.RULE, lambda _, values: rule_names(values)),
    "image": Grouping("Image", "image_name", Dimension.IMAGE, _unchanged),
    # Every dimension has the cluster; the one with the fewest keys is the fastest to add up.
    "cluster": Grouping("Cluster", "cluster", Dimension.RULE, _clusters),
    "namespace": Grouping("Namespace", "namespace", Dimension.NAMESPACE, _unchanged),
    "binary": Grouping("Binary", "binary", Dimension.BINARY, lambda _, values: binary_paths(values)),
    "session": Grouping("Session", "session", None, lambda _, values: _worded(values, SESSIONS)),
    "writer_origin": Grouping("Writer origin", "writer_origin", None, lambda _, values: _worded(values, ORIGINS)),
}
"""By the name of the filter that shows a group's alerts."""
GroupTotals = tuple[Any, int, int, dt.datetime, dt.datetime]
"""Key, alerts, clusters, first and last start."""


def group_page(user: User, filters: Filters, name: str, after: int = 0, *, everything: bool = False) -> GroupPage:
    """Return a page of the groups of GROUPINGS[name], the largest first; incidents newest first.

    `after` is the `next` of the previous page. `everything`: group all matches even where no tally applies.
    """
    named = set(filters.values) - {"status"}
    if name == "incident" and not (named or filters.q) and _is_walked(user, filters):
        return _walked(user, filters, after)
    if not filters.q and named <= PLACES and _is_tallied(user, name):
        return _page(user, _tallied(user, filters, name, after), filters, name, after)
    if not everything:
        rows, partial = _newest(user, filters, name, after)
        return replace(_page(user, rows, filters, name, after), partial=partial)
    found = run_limited(user, FULL_SCAN_SECONDS, lambda: _all(user, filters, name, after))
    if not isinstance(found, QueryLimit):
        return _page(user, found, filters, name, after)
    # The first page: the newest alerts may have no groups as far down as the requested page.
    rows, partial = _newest(user, filters, name, 0)
    return replace(_page(user, rows, filters, name, 0), partial=partial, limit=found if partial else None)


def _is_walked(user: User, filters: Filters) -> bool:
    # Between two incidents in scope may be any number of others, so a walk would not end in time.
    return user.scope.is_whole_estate and set(filters.statuses) in WALKED


def _is_tallied(user: User, name: str) -> bool:
    """Return whether the tallies know these groups: those by rule, image or binary know clusters, not namespaces."""
    if GROUPINGS[name].dimension is None:
        return False
    return name in {"cluster", "namespace"} or user.scope.is_of_whole_clusters


def _page(user: User, rows: list[GroupTotals], filters: Filters, name: str, after: int) -> GroupPage:
    following = after + PAGE_SIZE if len(rows) > PAGE_SIZE else 0
    return GroupPage(_named(user, rows[:PAGE_SIZE], filters, name), following)


def _named(
    user: User, rows: list[GroupTotals], filters: Filters, name: str, *, bounded: bool = False
) -> list[GroupRow]:
    grouping = GROUPINGS[name]
    names = grouping.names(user, [row[0] for row in rows if row[0]])
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


def _tallied(user: User, filters: Filters, name: str, after: int) -> list[GroupTotals]:
    """Return groups from the tallies by cluster. Without a filter by place, the totals select the keys of the page, so
    that only their tallies are added up. The totals are those of the whole estate.
    """
    by_cluster = _tallies(user, name).filter(filter_condition(filters, user))
    if name != "cluster" and user.scope.is_whole_estate and not set(filters.values) & PLACES:
        totals = AlertTotal.objects.visible_to(user).filter(
            dimension=GROUPINGS[name].dimension, status__in=filters.statuses
        )
        sums = totals.values_list("key").annotate(n=Sum("count")).filter(n__gt=0).order_by("-n", "key")
        keys = [key for key, _ in sums[after : after + PAGE_SIZE + 1]]
        by_cluster, after = by_cluster.filter(key__in=keys), 0
    key = "cluster" if name == "cluster" else "key"
    counted = by_cluster.values_list(F(key), F("cluster")).annotate(**SUMS).filter(n__gt=0).order_by()
    return _largest(counted, "{counted}", name, after)[0]


def _tallies(user: User, name: str) -> QuerySet[Any, Any]:
    if name == "cluster":
        return cluster_tallies(user)
    if not user.scope.is_of_whole_clusters:
        return namespace_groups(user)
    groups: QuerySet[Any, Any] = AlertGroup.objects.visible_to(user).filter(dimension=GROUPINGS[name].dimension)
    return groups


def _all(user: User, filters: Filters, name: str, after: int) -> list[GroupTotals]:
    found = matching_alerts(user, filters).order_by().values_list(GROUPINGS[name].column, "cluster", "first_seen")
    return _largest(found, BY_CLUSTER, name, after)[0]


def _newest(user: User, filters: Filters, name: str, after: int) -> tuple[list[GroupTotals], bool]:
    """Return the groups of the newest NEWEST matches, and whether there may be older ones."""
    found = matching_alerts(user, filters).order_by("-first_seen", "-pk")
    newest = found.values_list(GROUPINGS[name].column, "cluster", "first_seen")[:NEWEST]
    rows, count = _largest(newest, BY_CLUSTER, name, after)
    return rows, count >= NEWEST


BY_CLUSTER: Final = """
SELECT {key}, cluster, count(*), min(first_seen), max(first_seen)
FROM ({counted}) AS newest (key, cluster, first_seen) GROUP BY 1, 2
"""
LARGEST: Final = """
SELECT key, sum(count), count(*), min(first_seen), max(last_seen), sum(sum(count)) OVER ()
FROM ({counted}) AS counted (key, cluster, count, first_seen, last_seen)
GROUP BY key ORDER BY {order} LIMIT %s OFFSET %s
"""


def _largest(found: QuerySet[Any, Any], by_cluster: str, name: str, after: int) -> tuple[list[GroupTotals], int]:
    """Return a page of groups and one more, and the number of alerts in all groups."""
    try:
        statement, values = found.query.sql_with_params()
    except EmptyResultSet:  # a filter that no alert can match
        return [], 0
    order = "1 DESC NULLS LAST" if name == "incident" else "2 DESC, 1"
    key = "nullif(key, '')" if name in NONE_IF_EMPTY else "key"
    counted = by_cluster.format(counted=statement, key=key)
    with connection.cursor() as cursor:
        cursor.execute(LARGEST.format(counted=counted, order=order), [*values, PAGE_SIZE + 1, after])
        rows = cursor.fetchall()
    page = [(key, int(count), clusters, first, last) for key, count, clusters, first, last, _ in rows]
    return page, int(rows[0][-1]) if rows else 0


WALKED: Final = (set(OPEN), set(Status))
"""The statuses that an index on incidents has: open, or any."""
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
"""Each step is one index lookup, so its time does not depend on the number of incidents."""
COUNTED: Final = """
SELECT count(*), count(DISTINCT cluster_id), min(first_seen), max(first_seen)
FROM (SELECT cluster_id, first_seen FROM alerts_alert WHERE {holds}"""
WITHOUT: Final = (
    "SELECT NULL::bigint, counted.* FROM ({counted} AND incident_id IS NULL LIMIT %(many)s) AS alert) AS counted"
)


def _walked(user: User, filters: Filters, before: int) -> GroupPage:
    """Return incidents from the newest, or below the number `before`; on the last page also the alerts without one."""
    holds = "set_aside_at IS NULL" + ("" if filters.has_all_statuses else f" AND status IN {OPEN_STATUSES}")
    parameters = {"before": before or MAX_BIGINT, "page": PAGE_SIZE + 1, "many": MAX_COUNT + 1}
    counted = COUNTED.format(holds=holds)
    with connection.cursor() as cursor:
        cursor.execute(WALK.format(holds=holds, counted=counted), parameters)
        rows = cursor.fetchall()
        has_more = len(rows) > PAGE_SIZE
        if not has_more:
            cursor.execute(WITHOUT.format(counted=counted), parameters)
            rows += [row for row in cursor.fetchall() if row[1]]
    page = rows[: PAGE_SIZE if has_more else None]
    return GroupPage(_named(user, page, filters, "incident", bounded=True), page[-1][0] if has_more else 0)
