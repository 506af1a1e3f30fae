"""Alerts grouped by what they have in common: one row to open, one verdict for all."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from django.db import connection
from django.db.models import QuerySet

from drift.alerts.filters import Filters
from drift.alerts.models import Alert, Binary, Incident
from drift.fleet.models import Cluster

NEWEST: Final = 10_000
"""Alerts that are grouped, newest first: so the time it takes does not grow with their number."""
MOST: Final = 100
Names = Callable[[Iterable[Any]], dict[Any, str]]


@dataclass(frozen=True)
class Grouping:
    """What alerts are grouped by: the column, the filter that opens a group, and how its values are named."""

    label: str
    column: str
    filter: str
    names: Names


@dataclass(frozen=True)
class GroupRow:
    """One group: its name, the query string of its alerts, how many there are, from when to when."""

    name: str
    query: str
    count: int
    resources: int
    first: dt.datetime
    last: dt.datetime


def _as_they_are(values: Iterable[Any]) -> dict[Any, str]:
    return {value: str(value) for value in values if value}


def _clusters(values: Iterable[Any]) -> dict[Any, str]:
    return dict(Cluster.objects.filter(pk__in=values).values_list("pk", "name"))


def _binaries(values: Iterable[Any]) -> dict[Any, str]:
    return dict(Binary.objects.filter(pk__in=values).values_list("pk", "path"))


def rule_names(values: Iterable[Any]) -> dict[Any, str]:
    """The names that rules had when they last made an alert."""
    rows = Alert.objects.filter(rule_id__in=values).order_by("rule_id", "-pk").distinct("rule_id")
    return {rule: name or rule for rule, name in rows.values_list("rule_id", "rule_name") if rule}


def _incidents(values: Iterable[Any]) -> dict[Any, str]:
    rows = Incident.objects.filter(pk__in=values).values_list("pk", "container_id", "ancestors")
    return {pk: _incident_name(pk, container, ancestors) for pk, container, ancestors in rows}


def _incident_name(pk: int, container: str, ancestors: list[str]) -> str:
    programs = ", ".join(dict.fromkeys(each.partition(" ")[2] for each in ancestors[:4]))
    return f"Incident {pk}: container {container[:12]}" + (f", by {programs}" if programs else "")


GROUPINGS: Final[dict[str, Grouping]] = {
    "incident": Grouping("Incident", "incident", "incident", _incidents),
    "rule": Grouping("Rule", "rule_id", "rule", rule_names),
    "image": Grouping("Image", "image_name", "image", _as_they_are),
    "cluster": Grouping("Cluster", "cluster", "cluster", _clusters),
    "namespace": Grouping("Namespace", "namespace", "namespace", _as_they_are),
    "binary": Grouping("Binary", "binary", "binary", _binaries),
}


@dataclass(frozen=True)
class Grouped:
    """The largest groups, and whether there were more alerts than were looked at."""

    rows: list[GroupRow]
    partial: bool


GROUP: Final = """
SELECT key, count(*), count(DISTINCT cluster), min(first_seen), max(first_seen)
FROM ({newest}) AS newest (key, cluster, first_seen) GROUP BY key ORDER BY 2 DESC, 1 LIMIT %s
"""


def grouped(found: QuerySet[Alert], filters: Filters, name: str) -> Grouped:
    """The alerts of `found` by GROUPINGS[name], the largest group first."""
    grouping = GROUPINGS[name]
    newest = found.order_by("-first_seen", "-pk").values_list(grouping.column, "cluster", "first_seen")[:NEWEST]
    statement, values = newest.query.sql_with_params()
    with connection.cursor() as cursor:
        cursor.execute(GROUP.format(newest=statement), [*values, MOST])
        rows = cursor.fetchall()
    names = grouping.names([row[0] for row in rows if row[0]])
    made = [_row(row, grouping, filters, names) for row in rows]
    return Grouped(made, partial=sum(row.count for row in made) >= NEWEST)


def _row(
    row: tuple[Any, int, int, dt.datetime, dt.datetime], grouping: Grouping, filters: Filters, names: dict[Any, str]
) -> GroupRow:
    value, count, resources, first, last = row
    opened = filters.having(grouping.filter, str(value)).query if value else ""
    return GroupRow(names.get(value, f"No {grouping.label.lower()}"), opened, count, resources, first, last)
