"""Keyset pages of alerts: each is read from an index, however far down the list it is.

Alerts with the same value in the sorted column follow newest first in ascending order and oldest first in descending
order, so every order is that of an index (column, first_seen, id) read in one direction or the other.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import F, OrderBy, OuterRef, Q, QuerySet, Subquery
from django.db.models.lookups import IsNull

from drift.alerts.domain.filters import ALL_STATUSES, OUTCOMES, SEVERITIES
from drift.alerts.domain.sort_order import SortOrder
from drift.alerts.models import Alert, AlertPulse
from drift.fleet.models import Cluster
from drift.web.cursors import read_cursor, write_cursor

PAGE_SIZE: Final = 50
STARTED: Final = "first_seen"
UPDATED: Final = "pulse__updated_at"
FEW: Final = 5_000
"""Alerts whose last updates are looked up to put them in order. Of a million, a walk along the updates of all finds a
page of more than these as soon."""
COLUMNS: Final = {
    "priority": "priority",
    "severity": "severity",
    "name": "outcome",
    "resource": "cluster",
    "group": "namespace",
    "started": STARTED,
    "updated": UPDATED,
    "status": "status",
}


@dataclass(frozen=True)
class AlertPosition:
    """Where an alert is in an order: its value in the sorted column, its start (or sorted time), and its number."""

    value: str
    at: dt.datetime
    pk: int

    def cursor(self, sort: SortOrder) -> str:
        """Return the position as a string that only the same order accepts."""
        return write_cursor(f"alerts {sort}", [self.value, self.at.isoformat(), self.pk])

    @classmethod
    def read(cls, sort: SortOrder, cursor: str) -> AlertPosition | None:
        """Return the position; None for an empty cursor, one of another order, and a forged one."""
        found = read_cursor(f"alerts {sort}", cursor)
        if found is None:
            return None
        value, at, pk = found
        return cls(value, dt.datetime.fromisoformat(at), pk)


@dataclass(frozen=True)
class AlertPage:
    """The numbers of some alerts, in order, and the cursor of the next page: None on the last."""

    alerts: list[int]
    next: str | None


def page_behind(
    found: QuerySet[Alert],
    sort: SortOrder,
    cursor: str = "",
    size: int = PAGE_SIZE,
    *,
    statuses: Sequence[str] = ALL_STATUSES,
    clusters: QuerySet[Cluster] | None = None,
    priority: str = "priority",
    at_most: int | None = None,
    is_of_hours: bool = False,
) -> AlertPage:
    """Return the page behind a cursor, the first page without one.

    `statuses`, `clusters`: those that may occur in `found`; without `clusters` any. `priority`: its column. `at_most`:
    how many alerts there are in `found`, if that is known. `is_of_hours`: all in `found` are of some hours.
    """
    after, places = AlertPosition.read(sort, cursor), Cluster.objects.all() if clusters is None else clusters
    if sort.name == "priority":
        positions = _sorted_by_priority(found, sort, after, size + 1, priority, is_of_hours=is_of_hours)
    elif COLUMNS[sort.name] == "cluster":
        positions = _sorted_by_cluster(found, sort, after, size + 1, places)
    elif COLUMNS[sort.name] == UPDATED and at_most is not None and at_most <= FEW:
        positions = _few_by_update(found, sort, after, size + 1)
    else:
        positions = _positions(found, sort, after, size + 1, statuses)
    has_more = len(positions) > size
    return AlertPage([each.pk for each in positions[:size]], positions[size - 1].cursor(sort) if has_more else None)


def rows_behind(position: AlertPosition) -> Q:
    """Return the condition for the alerts behind a position, newest first."""
    return _beyond(STARTED, "lt", position)


def rows_through(position: AlertPosition) -> Q:
    """Return the condition for the alerts before a position and the one on it, newest first."""
    newer = Q(first_seen__gt=position.at) | Q(pk__gte=position.pk)
    return Q(newer, first_seen__gte=position.at)


def _positions(
    found: QuerySet[Alert], sort: SortOrder, after: AlertPosition | None, size: int, statuses: Sequence[str]
) -> list[AlertPosition]:
    match COLUMNS[sort.name]:
        case "first_seen" | "pulse__updated_at":
            return _sorted_by_time(found, sort, "", after, size)
        case "namespace":
            return _sorted_by_namespace(found, sort, after, size)
        case "status":
            return _sorted_by_value(found, sort, after, size, sorted(statuses))
        case "severity":
            return _sorted_by_value(found, sort, after, size, SEVERITIES)
        case _:
            return _sorted_by_value(found, sort, after, size, sorted(OUTCOMES))


def _sorted_by_time(
    found: QuerySet[Alert], sort: SortOrder, value: str, after: AlertPosition | None, size: int
) -> list[AlertPosition]:
    """Return positions of alerts that all have `value` in the sorted column."""
    sign, comparison = ("-", "lt") if sort.is_newest_first else ("", "gt")
    column = STARTED
    if COLUMNS[sort.name] == UPDATED:
        # Every alert has a pulse. Saying so makes the join an inner one, which the planner may start from either side.
        column, found = UPDATED, found.filter(pulse__isnull=False)
    if after:
        found = found.filter(_beyond(column, comparison, after))
    rows = found.order_by(f"{sign}{column}", f"{sign}pk").values_list(column, "pk")
    return [AlertPosition(value, at, pk) for at, pk in rows[:size]]


def _few_by_update(
    found: QuerySet[Alert], sort: SortOrder, after: AlertPosition | None, size: int
) -> list[AlertPosition]:
    """Return positions of few alerts by their last update, which is looked up for each.

    A join the planner may make by walking along the updates of all alerts, which takes the longer the fewer match.
    """
    sign, comparison = ("-", "lt") if sort.is_newest_first else ("", "gt")
    pulse = AlertPulse.objects.filter(alert=OuterRef("pk")).values("updated_at")
    few = found.annotate(at=Subquery(pulse))
    if after:
        few = few.filter(_beyond("at", comparison, after))
    return [
        AlertPosition("", at, pk) for at, pk in few.order_by(f"{sign}at", f"{sign}pk").values_list("at", "pk")[:size]
    ]


def _beyond(column: str, comparison: str, position: AlertPosition) -> Q:
    # The condition on the time alone follows from the other, but only as a condition of its own can it use the index.
    beyond = Q(**{f"{column}__{comparison}": position.at}) | Q(**{f"pk__{comparison}": position.pk})
    return Q(beyond, **{f"{column}__{comparison}e": position.at})


def _sorted_by_value(
    found: QuerySet[Alert], sort: SortOrder, after: AlertPosition | None, size: int, values: Sequence[str]
) -> list[AlertPosition]:
    """Return positions one value after the other, for a column that has few: `values` are in ascending order."""
    positions: list[AlertPosition] = []
    rest = list(reversed(values) if sort.descending else values)
    if after and after.value in rest:
        rest = rest[rest.index(after.value) :]  # those before are of earlier pages
    for value in rest:
        start = after if after and after.value == value else None
        if len(positions) < size:
            alike = found.filter(**{COLUMNS[sort.name]: value})
            positions += _sorted_by_time(alike, sort, value, start, size - len(positions))
    return positions


def _sorted_by_namespace(
    found: QuerySet[Alert], sort: SortOrder, after: AlertPosition | None, size: int
) -> list[AlertPosition]:
    """Return the rest of the position's own namespace, then the namespaces behind it."""
    positions: list[AlertPosition] = []
    if after:
        positions = _sorted_by_time(found.filter(namespace=after.value), sort, after.value, after, size)
        found = found.filter(**{f"namespace__{'lt' if sort.descending else 'gt'}": after.value})
    order = ("-namespace", STARTED, "pk") if sort.descending else ("namespace", f"-{STARTED}", "-pk")
    if len(positions) < size:
        rows = found.order_by(*order).values_list("namespace", STARTED, "pk")[: size - len(positions)]
        positions += [AlertPosition(*row) for row in rows]
    return positions


def _sorted_by_priority(
    found: QuerySet[Alert],
    sort: SortOrder,
    after: AlertPosition | None,
    size: int,
    column: str,
    *,
    is_of_hours: bool,
) -> list[AlertPosition]:
    """Return the rest of the position's own priority, then the priorities behind it."""
    positions: list[AlertPosition] = []
    if after:
        value = int(after.value)
        positions = _sorted_by_time(found.filter(**{column: value}), sort, after.value, after, size)
        found = found.filter(**{f"{column}__{'lt' if sort.descending else 'gt'}": value})
    if len(positions) < size:
        # A sum is in no index. By that of priorities the planner would look up a hundred alerts for each of a certain
        # hour, although those of an hour are side by side in the table and soon sorted.
        first = F(column) + 0 if is_of_hours else F(column)
        order = [OrderBy(each, descending=sort.descending) for each in (first, F(STARTED), F("pk"))]
        rows = found.order_by(*order).values_list(column, STARTED, "pk")[: size - len(positions)]
        positions += [AlertPosition(str(value), at, pk) for value, at, pk in rows]
    return positions


def _sorted_by_cluster(
    found: QuerySet[Alert], sort: SortOrder, after: AlertPosition | None, size: int, places: QuerySet[Cluster]
) -> list[AlertPosition]:
    """Return positions by cluster name, reading at most a page of each cluster. Their values are "NUMBER NAME"."""
    positions: list[AlertPosition] = []
    clusters = places.order_by("-name", "-pk") if sort.descending else places.order_by("name", "pk")
    if after:
        digits, _, name = after.value.partition(" ")
        pk = int(digits)
        positions = _sorted_by_time(found.filter(cluster=pk), sort, after.value, after, size)
        comparison = "lt" if sort.descending else "gt"
        behind = Q(**{f"name__{comparison}": name}) | Q(**{"name": name, f"pk__{comparison}": pk})
        clusters = clusters.filter(behind)
    if len(positions) < size:
        positions += _first_of_clusters(found, sort, clusters, size - len(positions))
    return positions


def _first_of_clusters(
    found: QuerySet[Alert], sort: SortOrder, clusters: QuerySet[Cluster], size: int
) -> list[AlertPosition]:
    # As a range, the cluster is part of the order, which only indexes of clusters have: by the index of all starts, a
    # cluster whose alerts are few or old would take as long as the whole table; and EXISTS may read all alerts of a
    # cluster for the one that it needs.
    in_range = found.filter(cluster__gte=OuterRef("pk"), cluster__lte=OuterRef("pk"))
    order = ("cluster", f"-{STARTED}", "-pk") if sort.is_newest_first else ("-cluster", STARTED, "pk")
    in_order = in_range.order_by(*order).values("pk")
    has_any = IsNull(Subquery(in_order[:1]), False)  # noqa: FBT003 - the operand
    rows = clusters.filter(has_any).annotate(first=ArraySubquery(in_order[:size]))
    firsts = rows.values_list("pk", "name", "first")[:size]
    chosen = [(pk, f"{cluster} {name}") for cluster, name, first in firsts for pk in first][:size]
    began = dict(found.filter(pk__in=[pk for pk, _ in chosen]).values_list("pk", STARTED))
    return [AlertPosition(value, began[pk], pk) for pk, value in chosen if pk in began]
