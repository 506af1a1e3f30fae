"""The list of alerts: one page of it, by keyset; what is above it; what changed since it was shown."""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from accounts.models import User
from drift.alerts.filters import Filters
from drift.alerts.models import Alert, Status
from drift.alerts.models.alerts import IS_OPEN
from drift.fleet.models import Cluster

PAGE: Final = 50
MANY: Final = 1_000
"""Counts above read "1,000+": counting on would take time that nobody needs."""
MOST: Final = 2**63
"""No alert is numbered so high."""
SETTLE: Final = dt.timedelta(seconds=5)
"""Alert numbers are given before they are committed; what is this old has been seen by everybody."""
SORTS: Final = {
    # Drift is always High, so by severity means as they came.
    "severity": "id",
    "name": "outcome",
    "resource": "cluster__name",
    "group": "namespace",
    "started": "first_seen",
    "updated": "pulse__updated_at",
    "status": "status",
}
DEFAULT_SORT: Final = "-started"


@dataclass(frozen=True)
class Sort:
    """A column of SORTS and a direction; ties go by alert number, so no two rows share a place."""

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

    def order(self) -> tuple[str, str]:
        sign = "-" if self.descending else ""
        return f"{sign}{self.column}", f"{sign}id"

    def after(self, value: Any, pk: int) -> Q:
        """What comes after a row. The first condition says the same again for the index's sake."""
        to = "lt" if self.descending else "gt"
        further = Q(**{f"{self.column}__{to}": value}) | Q(**{self.column: value, f"pk__{to}": pk})
        return Q(**{f"{self.column}__{to}e": value}) & further


@dataclass(frozen=True)
class Page:
    """Some alerts, and where the next page starts: None on the last."""

    alerts: list[Alert]
    next: str | None


def alerts_of(user: User, filters: Filters) -> QuerySet[Alert]:
    """The alerts that the user may see and the filters let through, in no order."""
    found: QuerySet[Alert] = Alert.objects.visible_to(user).filter(filters.condition(user))
    return found


def page(found: QuerySet[Alert], sort: Sort, after: str = "", size: int = PAGE) -> Page:
    """The first page, or that after the place `after`, which an earlier page gave as `next`."""
    # Every alert has a pulse; saying so makes the join one that may start from either side.
    rows = found.filter(pulse__isnull=False).order_by(*sort.order())
    rows = rows.select_related("pulse", "binary", "cluster__environment", "assignee")
    place = _read_place(sort, after)
    if place:
        rows = rows.filter(sort.after(*place))
    alerts = list(rows[: size + 1])
    more = len(alerts) > size
    return Page(alerts[:size], _place(sort, alerts[size - 1]) if more else None)


def _place(sort: Sort, alert: Alert) -> str:
    value: Any = alert
    for step in sort.column.split("__"):
        value = getattr(value, step)
    if isinstance(value, dt.datetime):
        value = {"at": value.isoformat()}
    return base64.urlsafe_b64encode(json.dumps([str(sort), value, alert.pk]).encode()).decode().rstrip("=")


def _read_place(sort: Sort, text: str) -> tuple[Any, int] | None:
    """None for no place, for one of another sort, and for one that somebody made up."""
    try:
        name, value, pk = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        if isinstance(value, dict):
            value = dt.datetime.fromisoformat(value["at"])
    except (ValueError, KeyError, TypeError, RecursionError, binascii.Error):
        return None
    right = name == str(sort) and type(value) is _kind(sort) and type(pk) is int
    in_range = all(abs(number) < MOST for number in (value, pk) if isinstance(number, int))
    return (value, pk) if right and in_range and _is_clean(value) else None


def _kind(sort: Sort) -> type:
    """What the sort's column holds."""
    return {"id": int, "first_seen": dt.datetime, "pulse__updated_at": dt.datetime}.get(sort.column, str)


def _is_clean(value: Any) -> bool:
    """Whether PostgreSQL can compare it: no NUL or half a character, and a time that says where."""
    if isinstance(value, dt.datetime):
        return value.tzinfo is not None and dt.MINYEAR + 1 < value.year < dt.MAXYEAR
    return not isinstance(value, str) or ("\0" not in value and value.encode(errors="ignore").decode() == value)


def bounded_count(found: QuerySet[Any], limit: int = MANY) -> int:
    """How many, counted no further than one past `limit`."""
    return found.order_by()[: limit + 1].count()


@dataclass(frozen=True)
class Summary:
    """The tiles above the list, over all that the user may see. A count past MANY is "many or more"."""

    active: int
    in_progress: int
    resources: int

    @property
    def open(self) -> int:
        return self.active + self.in_progress


def summary(user: User) -> Summary:
    """Counts of open alerts and of the clusters that have some."""
    alerts = Alert.objects.visible_to(user)
    affected = Cluster.objects.filter(Exists(Alert.objects.filter(IS_OPEN, cluster=OuterRef("pk"))))
    return Summary(
        bounded_count(alerts.filter(status=Status.ACTIVE)),
        bounded_count(alerts.filter(status=Status.IN_PROGRESS)),
        bounded_count(affected),
    )


def newest(user: User) -> int:
    """The number up to which all alerts are surely known to whoever looks now."""
    settled = Alert.objects.visible_to(user).filter(created_at__lte=timezone.now() - SETTLE)
    return settled.order_by("-pk").values_list("pk", flat=True).first() or 0


def newer_than(found: QuerySet[Alert], since: int) -> list[int]:
    """Numbers of alerts that came after `since`, at most one more than a page holds."""
    return list(found.filter(pk__gt=since).order_by("pk").values_list("pk", flat=True)[: PAGE + 1])


def shown(user: User, ids: Sequence[int]) -> list[Alert]:
    """The alerts that a page shows, as they are now."""
    rows = Alert.objects.visible_to(user).filter(pk__in=ids[:PAGE])
    return list(rows.select_related("pulse", "binary", "cluster__environment", "assignee").order_by("pk"))
