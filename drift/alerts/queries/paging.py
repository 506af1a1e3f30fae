"""The order of a list, and its pages by keyset: each is read from an index, wherever in the list it is.

Rows that are equal in the column go by when they began, newest first, and backwards where the column goes backwards; so
every order is that of an index (column, first_seen, id), read one way or the other.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import Exists, OuterRef, Q, QuerySet

from drift.alerts.models import Alert, Status
from drift.alerts.queries.filters import number
from drift.fleet.models import Cluster

PAGE: Final = 50
MOST: Final = 2**63
"""No alert is numbered so high."""
UPDATED: Final = "pulse__updated_at"
SORTS: Final = {
    # Drift is always High, so by severity means by when they began.
    "severity": "first_seen",
    "name": "outcome",
    "resource": "cluster",
    "group": "namespace",
    "started": "first_seen",
    "updated": UPDATED,
    "status": "status",
}
OUTCOMES: Final = ("blocked", "none", "not_blocked")
DEFAULT_SORT: Final = "-started"


@dataclass(frozen=True)
class Sort:
    """A column of SORTS and a direction."""

    name: str
    descending: bool

    @classmethod
    def read(cls, text: str) -> Sort:
        name = text.removeprefix("-")
        return cls(name, text.startswith("-")) if name in SORTS else cls.read(DEFAULT_SORT)

    def __str__(self) -> str:
        return f"-{self.name}" if self.descending else self.name

    @property
    def column(self) -> str:
        return SORTS[self.name]

    @property
    def newest_first(self) -> bool:
        """Among equals; of a time, whether the latest comes first."""
        return self.descending if self.name in {"started", "updated"} else not self.descending


@dataclass(frozen=True)
class Place:
    """Where a row stands: its value in the column, when it began (or was updated, where that is the column), number."""

    value: str
    at: dt.datetime
    pk: int

    def write(self, sort: Sort) -> str:
        text = json.dumps([str(sort), self.value, self.at.isoformat(), self.pk])
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

    @classmethod
    def read(cls, sort: Sort, text: str) -> Place | None:
        """None for no place, for one of another sort, and for one that somebody made up."""
        try:
            name, value, at, pk = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
            place = cls(value, dt.datetime.fromisoformat(at), pk)
        except (ValueError, TypeError, RecursionError, binascii.Error):
            return None
        return place if name == str(sort) and place._is_clean() else None

    def _is_clean(self) -> bool:
        """Whether PostgreSQL can compare it: no NUL or half a character, and a time that says where."""
        text = isinstance(self.value, str) and "\0" not in self.value
        whole = text and self.value.encode(errors="ignore").decode() == self.value
        dated = self.at.tzinfo is not None and dt.MINYEAR + 1 < self.at.year < dt.MAXYEAR
        return whole and dated and type(self.pk) is int and abs(self.pk) < MOST


@dataclass(frozen=True)
class Page:
    """The numbers of some alerts, in order, and where the next page starts: None on the last."""

    alerts: list[int]
    next: str | None


def page(
    found: QuerySet[Alert], sort: Sort, after: str = "", size: int = PAGE, statuses: Sequence[str] = Status.values
) -> Page:
    """The first page, or that after the place `after`, which an earlier page gave as `next`.

    `statuses`: those that `found` may have.
    """
    places = _places(found, sort, Place.read(sort, after), size + 1, statuses)
    more = len(places) > size
    return Page([each.pk for each in places[:size]], places[size - 1].write(sort) if more else None)


def _places(found: QuerySet[Alert], sort: Sort, after: Place | None, size: int, statuses: Sequence[str]) -> list[Place]:
    match sort.column:
        case "first_seen" | "pulse__updated_at":
            return _by_time(found, sort, "", after, size)
        case "cluster":
            return _by_cluster(found, sort, after, size)
        case "namespace":
            return _by_text(found, sort, after, size)
        case column:
            return _by_value(found, sort, after, size, statuses if column == "status" else OUTCOMES)


def _by_time(found: QuerySet[Alert], sort: Sort, value: str, after: Place | None, size: int) -> list[Place]:
    """All of one value. A condition on the time alone says the same again, for the index's sake."""
    sign, to = ("-", "lt") if sort.newest_first else ("", "gt")
    column = "first_seen"
    if sort.column == UPDATED:
        # Every alert has a pulse; saying so makes the join one that may start from either side.
        column, found = UPDATED, found.filter(pulse__isnull=False)
    if after:
        found = found.filter(_beyond(column, to, after))
    rows = found.order_by(f"{sign}{column}", f"{sign}pk").values_list(column, "pk")
    return [Place(value, at, pk) for at, pk in rows[:size]]


def _beyond(column: str, to: str, place: Place) -> Q:
    return Q(Q(**{f"{column}__{to}": place.at}) | Q(**{f"pk__{to}": place.pk}), **{f"{column}__{to}e": place.at})


def after_start(place: Place) -> Q:
    """What comes after a place in the order of DEFAULT_SORT."""
    return _beyond("first_seen", "lt", place)


def until_start(place: Place) -> Q:
    """The rest: what comes before the place, and the alert that is there."""
    newer = Q(first_seen__gt=place.at) | Q(pk__gte=place.pk)
    return Q(newer, first_seen__gte=place.at)


def _by_value(found: QuerySet[Alert], sort: Sort, after: Place | None, size: int, values: Iterable[str]) -> list[Place]:
    """One value after the other, for a column that has few."""
    places: list[Place] = []
    for value in sorted(values, reverse=sort.descending):
        if after and (value > after.value) == sort.descending and value != after.value:
            continue  # of an earlier page
        start = after if after and after.value == value else None
        if len(places) < size:
            places += _by_time(found.filter(**{sort.column: value}), sort, value, start, size - len(places))
    return places


def _by_text(found: QuerySet[Alert], sort: Sort, after: Place | None, size: int) -> list[Place]:
    """What is left of the place's own text, then those beyond it."""
    places: list[Place] = []
    if after:
        places = _by_time(found.filter(**{sort.column: after.value}), sort, after.value, after, size)
        found = found.filter(**{f"{sort.column}__{'lt' if sort.descending else 'gt'}": after.value})
    signs = ("-", "", "") if sort.descending else ("", "-", "-")
    order = [f"{sign}{column}" for sign, column in zip(signs, (sort.column, "first_seen", "pk"), strict=True)]
    if len(places) < size:
        rows = found.order_by(*order).values_list(sort.column, "first_seen", "pk")[: size - len(places)]
        places += [Place(*row) for row in rows]
    return places


def _by_cluster(found: QuerySet[Alert], sort: Sort, after: Place | None, size: int) -> list[Place]:
    """By the clusters' names; of each cluster no more than a page is looked at. A place's value is "number name"."""
    places: list[Place] = []
    clusters = Cluster.objects.order_by("-name", "-pk") if sort.descending else Cluster.objects.order_by("name", "pk")
    if after:
        digits, _, name = after.value.partition(" ")
        pk = number(digits) or 0
        places = _by_time(found.filter(cluster=pk), sort, after.value, after, size)
        to = "lt" if sort.descending else "gt"
        clusters = clusters.filter(Q(**{f"name__{to}": name}) | Q(**{"name": name, f"pk__{to}": pk}))
    if len(places) < size:
        places += _of_clusters(found, sort, clusters, size - len(places))
    return places


def _of_clusters(found: QuerySet[Alert], sort: Sort, clusters: QuerySet[Cluster], size: int) -> list[Place]:
    here = found.filter(cluster=OuterRef("pk"))
    sign = "-" if sort.newest_first else ""
    first = ArraySubquery(here.order_by(f"{sign}first_seen", f"{sign}pk").values("pk")[:size])
    rows = clusters.filter(Exists(here)).annotate(first=first).values_list("pk", "name", "first")[:size]
    chosen = [(pk, f"{cluster} {name}") for cluster, name, first in rows for pk in first][:size]
    began = dict(Alert.objects.filter(pk__in=[pk for pk, _ in chosen]).values_list("pk", "first_seen"))
    return [Place(value, began[pk], pk) for pk, value in chosen if pk in began]
