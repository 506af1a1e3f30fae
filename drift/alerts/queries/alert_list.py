"""What the list of alerts shows: its rows, what is above them, what changed since they were shown."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, TypedDict

from django.db.models import Exists, OuterRef, QuerySet
from django.urls import reverse
from django.utils import timezone

from accounts.models import User
from drift.alerts.models import Alert, Severity, Status
from drift.alerts.models.alerts import IS_OPEN, alert_title
from drift.alerts.queries import paging
from drift.alerts.queries import search as searching
from drift.alerts.queries.filters import Filters
from drift.alerts.queries.paging import DEFAULT_SORT, PAGE, Page, Sort
from drift.fleet.models import Cluster

MANY: Final = 1_000
"""Counts above read "1,000+": counting on would take time that nobody needs."""
SETTLE: Final = dt.timedelta(seconds=5)
"""Alert numbers are given before they are committed; what is this old has been seen by everybody."""
UNSETTLED: Final = 200
"""Alerts younger than that, of which a page remembers that it knew them."""


class Row(TypedDict):
    """What the list shows of an alert. `choice`: its number and revision; `group`: where it is in cluster or cloud.

    The number is text, for that is written as it is; a template would look for the reader's way of writing numbers.
    """

    pk: str
    url: str
    choice: str
    severity: str
    severity_label: str
    title: str
    sample: bool
    path: str
    count: int
    assignee: str | None
    cluster: str
    group: str
    started: dt.datetime
    updated: dt.datetime
    status_label: str


def alerts_of(user: User, filters: Filters) -> QuerySet[Alert]:
    """The alerts that the user may see and the filters let through, in no order.

    Of those a text of less than three letters finds only some of the newest RECENT.
    """
    found: QuerySet[Alert] = Alert.objects.visible_to(user).filter(filters.condition(user))
    if not filters.q:
        return found
    alert = filters.alert
    if alert is not None:
        return found.filter(pk=alert)
    return searching.recent(found, filters.text) if filters.is_short else searching.by_index(found, filters.text)


def page(user: User, filters: Filters, sort: Sort, after: str = "", size: int = PAGE) -> Page:
    """A page of the alerts that the filters let through; of a search it may be a short one that is not the last."""
    if filters.text and str(sort) == DEFAULT_SORT and not filters.is_short and filters.alert is None:
        everything = Alert.objects.visible_to(user).filter(filters.condition(user))
        found = searching.walked(everything, filters.text, after, size)
        if found is not None:
            return found
    return paging.page(alerts_of(user, filters), sort, after, size, filters.statuses)


COLUMNS: Final = (
    "pk", "revision", "severity", "status", "outcome", "sample", "namespace", "path", "first_seen", "pulse__count",
    "pulse__updated_at", "cluster__name", "cluster__environment__name", "assignee__name",
)  # fmt: skip
"""Of the five tables that a row is about, only these: a list is read every two seconds."""


def rows(user: User, ids: Sequence[int]) -> list[Row]:
    """The alerts as they are now, in this order; those that are gone are left out."""
    found = Alert.objects.visible_to(user).filter(pk__in=ids).values_list(*COLUMNS)
    base = reverse("alerts:list")  # once: a template would look up fifty
    by_id = {row[0]: _row(base, *row) for row in found}
    return [by_id[pk] for pk in ids if pk in by_id]


def _row(base: str, pk: int, revision: int, severity: str, status: str, *rest: Any) -> Row:
    outcome, sample, namespace, path, started, count, updated, cluster, environment, assignee = rest
    return {
        "pk": str(pk),
        "url": f"{base}{pk}/",
        "choice": f"{pk}:{revision}",
        "severity": severity,
        "severity_label": Severity(severity).label,
        "title": alert_title(outcome),
        "sample": sample,
        "path": path,
        "count": count,
        "assignee": assignee,
        "cluster": cluster,
        "group": namespace or environment,
        "started": started,
        "updated": updated,
        "status_label": Status(status).label,
    }


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


def unsettled(user: User, since: int) -> list[int]:
    """Numbers of the alerts after `since` that are there already: no news to whoever looks now."""
    found = Alert.objects.visible_to(user).filter(pk__gt=since)
    return list(found.order_by("pk").values_list("pk", flat=True)[:UNSETTLED])


def newer_than(found: QuerySet[Alert], since: int) -> list[int]:
    """Numbers of alerts that came after `since`: at most what a page knew of them, and one more than it holds."""
    return list(found.filter(pk__gt=since).order_by("pk").values_list("pk", flat=True)[: UNSETTLED + PAGE + 1])
