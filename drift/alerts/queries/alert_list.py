"""The list of alerts: its rows, the counts above it, and what changed since a page was loaded."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, TypedDict

from django.core.exceptions import EmptyResultSet
from django.db import connection
from django.db.models import Count, Q, QuerySet, Sum
from django.db.models.functions import Coalesce
from django.urls import reverse
from django.utils import timezone

from accounts.models import User
from drift.alerts.domain.alert_wording import MAX_COUNT, what_ran
from drift.alerts.domain.filters import Filters
from drift.alerts.domain.scored_signals import ScoredSignals
from drift.alerts.domain.sort_order import SortOrder
from drift.alerts.models import OPEN, Alert, Severity, Status
from drift.alerts.models.alerts import IS_OPEN, alert_title
from drift.alerts.queries.alert_pages import PAGE_SIZE, AlertPage, page_behind
from drift.alerts.queries.estate_counts import LESS_SEVERE, estate_counts
from drift.alerts.queries.filter_conditions import filter_condition
from drift.alerts.queries.places import cluster_tallies, visible_clusters
from drift.alerts.queries.search import indexed_matches, recent_matches, walked_page
from drift.web.requests import bounded_int

SETTLE: Final = dt.timedelta(seconds=5)
"""Alert numbers are assigned before the transaction commits; alerts this old are visible to everyone."""
MAX_UNSETTLED: Final = 200
"""Younger alerts that a page remembers it has already seen."""


class AlertRow(TypedDict):
    """What the list shows of an alert. `choice`: its number and revision; `group`: its namespace or subscription.

    `what`: what ran, where, and by whom it was written; `reasons`: what makes the priority. The number is a string,
    because a template would format an integer for the reader's locale.
    """

    pk: str
    url: str
    choice: str
    priority: int
    reasons: str
    severity: str
    severity_label: str
    title: str
    sample: bool
    what: str
    path: str
    count: int
    assignee: str | None
    cluster: str
    group: str
    started: dt.datetime
    updated: dt.datetime
    status: str
    status_label: str
    is_open: bool


def listed_alerts(user: User, filters: Filters) -> QuerySet[Alert]:
    """Return the alerts that the user may see; with the filter *Set aside* those that are set aside too."""
    alerts = Alert.objects
    return alerts.with_set_aside(user) if "aside" in filters.values else alerts.visible_to(user)


def matching_alerts(user: User, filters: Filters) -> QuerySet[Alert]:
    """Return the alerts that the user may see and that match the filters, unordered.

    A search string shorter than a trigram is only searched in the newest RECENT of them.
    """
    found: QuerySet[Alert] = listed_alerts(user, filters).filter(filter_condition(filters, user))
    if not filters.q:
        return found
    alert = searched_alert(user, filters)
    if alert is not None:
        return found.filter(pk=alert)
    return recent_matches(found, filters.text) if filters.is_short else indexed_matches(found, filters.text)


def searched_alert(user: User, filters: Filters) -> int | None:
    """Return the number in a search for "123" or "#123" where an alert that the user sees has it: only it is found."""
    number = bounded_int(filters.q.lstrip("#"))
    return number if number is not None and Alert.objects.visible_to(user).filter(pk=number).exists() else None


def alert_page(user: User, filters: Filters, sort: SortOrder, cursor: str = "", size: int = PAGE_SIZE) -> AlertPage:
    """Return a page of the matching alerts. A page of search results may be short although it is not the last."""
    if filters.q and sort.is_walkable and not filters.is_short and searched_alert(user, filters) is None:
        everything = listed_alerts(user, filters).filter(filter_condition(filters, user))
        page = walked_page(everything, filters.text, cursor, size)
        if page is not None:
            return page
    places = None if user.scope.is_whole_estate else visible_clusters(user)
    found = matching_alerts(user, filters)
    return page_behind(
        found,
        sort,
        cursor,
        size,
        statuses=filters.statuses,
        clusters=places,
        priority=priority_column(user),
        at_most=_tallied(user, filters) if sort.name == "updated" else None,
        is_of_hours="hour" in filters.values,
    )


def _tallied(user: User, filters: Filters) -> int | None:
    """Return how many alerts of the filters' statuses are in the user's scope; None for the whole estate, and where
    alerts that no tally counts are listed too."""
    if user.scope.is_whole_estate or "aside" in filters.values:
        return None
    found = cluster_tallies(user).filter(status__in=filters.statuses).order_by()
    return int(found.aggregate(all=Sum("count", default=0))["all"])


def priority_column(user: User) -> str:
    """Return the column with the priority that the user sees (docs/priority.md#scopes)."""
    return "priority" if user.scope.is_whole_estate else "scoped_priority"


COLUMNS: Final = (
    "pk", "revision", "severity", "status", "outcome", "reason", "sample", "namespace", "path", "first_seen",
    "pulse__count", "pulse__updated_at", "cluster__name", "cluster__environment__name", "assignee__name",
    "workload__owner_name", "workload__container_name", "writer", "signals", "priority", "scoped_priority",
)  # fmt: skip
"""Only these columns of six tables: every open list reads them every two seconds."""


def alert_rows(user: User, ids: Sequence[int], filters: Filters) -> list[AlertRow]:
    """Return the alerts as they are now, in this order, without those that no longer exist."""
    found = listed_alerts(user, filters).filter(pk__in=ids).values_list(*COLUMNS)
    base = reverse("alerts:list")  # once: a template would look the URL up for each row
    by_id = {row[0]: _alert_row(base, user, row) for row in found}
    return [by_id[pk] for pk in ids if pk in by_id]


def _alert_row(base: str, user: User, row: tuple[Any, ...]) -> AlertRow:
    (pk, revision, severity, status, outcome, reason, sample, namespace, path, started, count, updated, cluster,
     environment, assignee, owner, container, writer, signals, priority, scoped_priority) = row  # fmt: skip
    whole_estate = user.scope.is_whole_estate
    return {
        "pk": str(pk),
        "url": f"{base}{pk}/",
        "choice": f"{pk}:{revision}",
        "priority": priority if whole_estate else scoped_priority,
        "reasons": ScoredSignals.read(signals).reasons(whole_estate=whole_estate),
        "severity": severity,
        "severity_label": Severity(severity).label,
        "title": alert_title(outcome, reason),
        "sample": sample,
        "what": what_ran(path, owner, container, writer or "", reason),
        "path": path,
        "count": count,
        "assignee": assignee,
        "cluster": cluster,
        "group": namespace or environment,
        "started": started,
        "updated": updated,
        "status": status,
        "status_label": Status(status).label,
        "is_open": status in OPEN,
    }


@dataclass(frozen=True)
class SeverityPart:
    """The open alerts of one severity, and their part of the severity bar, which is 1,000 wide."""

    name: str
    label: str
    count: int
    start: int
    width: int


@dataclass(frozen=True)
class OpenAlerts:
    """The tiles above the list: counts of everything that the user may see, each at most one more than MAX_COUNT.

    `less_severe`: counts by severity, without High.
    """

    active: int
    in_progress: int
    resources: int
    less_severe: dict[str, int]

    @property
    def total(self) -> int:
        return self.active + self.in_progress

    @property
    def severities(self) -> list[SeverityPart]:
        """The parts of the severity bar, the worst first; without informational alerts, without that part."""
        counts = {Severity.HIGH.value: max(0, self.total - sum(self.less_severe.values())), **self.less_severe}
        start, parts = 0, []
        for name, count in counts.items():
            width = 1000 * count // max(1, sum(counts.values()))
            parts.append(SeverityPart(name, Severity(name).label, count, start, width))
            start += width
        return [part for part in parts if part.count or part.name != Severity.INFORMATIONAL]


OF_STATUS: Final = {status.value: Coalesce(Sum("count", filter=Q(status=status)), 0) for status in OPEN}


def open_alerts(user: User) -> OpenAlerts:
    """Return the counts of open alerts, and of the clusters that have any: from the tallies, for every open list counts
    them every two seconds.
    """
    if user.scope.is_whole_estate:
        of_estate = estate_counts()
        active, in_progress = (min(count, MAX_COUNT + 1) for count in (of_estate.active, of_estate.in_progress))
        return OpenAlerts(active, in_progress, of_estate.resources, of_estate.less_severe)
    of_clusters = cluster_tallies(user).order_by().values("cluster").annotate(**OF_STATUS)
    found = of_clusters.filter(Q(active__gt=0) | Q(in_progress__gt=0)).aggregate(
        active_sum=Sum("active", default=0),
        in_progress_sum=Sum("in_progress", default=0),
        clusters=Count("cluster"),
    )
    counts = found["active_sum"], found["in_progress_sum"], found["clusters"]
    active, in_progress, resources = (min(int(count), MAX_COUNT + 1) for count in counts)
    return OpenAlerts(active, in_progress, resources, _less_severe(user))


def open_alerts_of_cluster(user: User, cluster_id: int) -> int:
    """Return how many open alerts of a cluster the user sees, at most one more than MAX_COUNT: from the tallies."""
    found = cluster_tallies(user).filter(cluster=cluster_id, status__in=OPEN).order_by()
    return min(int(found.aggregate(open=Sum("count", default=0))["open"]), MAX_COUNT + 1)


LESS_SEVERE_COUNTS: Final = ", ".join(
    f"(SELECT count(*) FROM (SELECT FROM open WHERE severity = '{name}' LIMIT {MAX_COUNT + 1}) AS bounded)"  # noqa: S608 - ours
    for name in LESS_SEVERE
)
"""Of `open`, which is written once: the scope of a user may be long, and the ORM would build it for each severity."""


def _less_severe(user: User) -> dict[str, int]:
    """Return the counts of open alerts by severity, without High, with one query.

    Rules are of severity High unless they say otherwise: the others are few, and counted from an index.
    """
    found = Alert.objects.visible_to(user).filter(IS_OPEN).order_by().values_list("severity")
    try:
        statement, values = found.query.sql_with_params()
    except EmptyResultSet:  # a scope without a place
        return dict.fromkeys(LESS_SEVERE, 0)
    with connection.cursor() as cursor:
        cursor.execute(f"WITH open AS NOT MATERIALIZED ({statement}) SELECT {LESS_SEVERE_COUNTS}", values)
        return dict(zip(LESS_SEVERE, cursor.fetchone(), strict=True))


def last_settled(user: User) -> int:
    """Return the number up to which no further alert can appear."""
    settled = Alert.objects.visible_to(user).filter(created_at__lte=timezone.now() - SETTLE)
    return settled.order_by("-pk").values_list("pk", flat=True).first() or 0


def unsettled_alerts(user: User, since: int) -> list[int]:
    """Return the numbers of the alerts beyond `since` that exist already, which are not news for a new page."""
    found = Alert.objects.visible_to(user).filter(pk__gt=since)
    return list(found.order_by("pk").values_list("pk", flat=True)[:MAX_UNSETTLED])


def new_alerts(found: QuerySet[Alert], since: int) -> list[int]:
    """Return the numbers of the alerts beyond `since`: at most the unsettled ones and one more than a page holds."""
    numbers = found.filter(pk__gt=since).order_by("pk").values_list("pk", flat=True)
    return list(numbers[: MAX_UNSETTLED + PAGE_SIZE + 1])
