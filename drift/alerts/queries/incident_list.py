"""Incidents in order of what to look at first: each where its first alert is in the order by priority.

The first alert of an incident stands for it. All open alerts, or all of any status, are walked along the index of their
order, and those that are not their incident's first are passed over. Under other filters, and for users with a scope,
the newest NEWEST matches are put in order, and the page states that.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from django.contrib.postgres.expressions import ArraySubquery
from django.core.exceptions import EmptyResultSet
from django.db import connection
from django.db.models import BigIntegerField, Case, OuterRef, QuerySet, Value, When
from django.db.models.functions import JSONObject
from django.urls import reverse

from accounts.models import User
from drift.alerts.domain.alert_wording import MAX_COUNT
from drift.alerts.domain.filters import OPEN_STATUSES, Filters
from drift.alerts.domain.incident_story import incident_name, is_routine
from drift.alerts.domain.selection_tokens import AlertState, selection_token
from drift.alerts.models import OPEN, Alert, Incident, Status
from drift.alerts.queries.alert_list import AlertRow, alert_rows, matching_alerts, priority_column
from drift.alerts.queries.alert_pages import PAGE_SIZE
from drift.web.cursors import read_cursor, write_cursor

CURSOR: Final = "incidents"
NEWEST: Final = 2_500
"""Newest matches that are put in order where not all are."""
WALKED: Final = 1_000
"""Alerts that a page looks through. It may be short, and yet not the last. Of more, the planner would sort them all
rather than read them in the order of the index."""
HOLDS: Final = "{alert}.set_aside_at IS NULL{status}"
IS_OPEN: Final = " AND {alert}.status IN ('active', 'in_progress')"
WALK: Final = """
SELECT priority, first_seen, id, incident_id FROM (
    SELECT alert.priority, alert.first_seen, alert.id, alert.incident_id FROM alerts_alert AS alert
    WHERE {alert} AND (alert.priority, alert.first_seen, alert.id) < (%(priority)s, %(at)s::timestamptz, %(pk)s)
    ORDER BY 1 DESC, 2 DESC, 3 DESC LIMIT {walked}
) AS walked
WHERE incident_id IS NULL OR id = (
    SELECT first.id FROM alerts_alert AS first WHERE {first} AND first.incident_id = walked.incident_id
    ORDER BY first.priority DESC, first.first_seen DESC, first.id DESC LIMIT 1
)
ORDER BY 1 DESC, 2 DESC, 3 DESC LIMIT {page}
"""
"""A correlated subquery, which stops with the page: an anti-join might be made by hashing all open alerts."""
LAST_WALKED: Final = """
SELECT alert.priority, alert.first_seen, alert.id FROM alerts_alert AS alert
WHERE {alert} AND (alert.priority, alert.first_seen, alert.id) < (%(priority)s, %(at)s::timestamptz, %(pk)s)
ORDER BY 1 DESC, 2 DESC, 3 DESC LIMIT 1 OFFSET {walked} - 1
"""

FIRSTS: Final = """
WITH newest (priority, first_seen, id, incident_id) AS MATERIALIZED ({newest})
SELECT behind.priority, behind.first_seen, behind.id, behind.incident_id, counted.newest
FROM (SELECT count(*) AS newest FROM newest) AS counted LEFT JOIN (
    SELECT * FROM (
        SELECT DISTINCT ON (coalesce(incident_id, -id)) priority, first_seen, id, incident_id FROM newest
        ORDER BY coalesce(incident_id, -id), priority DESC, first_seen DESC, id DESC
    ) AS firsts
    WHERE (priority, first_seen, id) < (%s, %s::timestamptz, %s)
    ORDER BY priority DESC, first_seen DESC, id DESC LIMIT {page}
) AS behind ON true
ORDER BY 1 DESC, 2 DESC, 3 DESC
"""
"""The first alerts of the incidents of the newest matches; at least one row, which says how many of these there are."""


class Place(NamedTuple):
    """Where an alert is in the order: the greatest first."""

    priority: int
    at: dt.datetime
    pk: int


class FirstAlert(NamedTuple):
    """The alert that stands for its incident; without one, for itself."""

    place: Place
    incident: int | None


BEFORE_ALL: Final = Place(32_767, dt.datetime(9999, 1, 1, tzinfo=dt.UTC), 2**63 - 1)


@dataclass(frozen=True)
class IncidentRow:
    """An incident by its first alert, or an alert that is alone in its own, as the list shows it.

    `choice`: what a checkbox sends; "" where the alerts are too many for one change. `count`: at most one more than
    MAX_COUNT. `query`: the query string of the incident's alerts; "" of a single one.
    """

    key: str
    url: str
    choice: str
    name: str
    first_alert: AlertRow
    is_single: bool
    is_routine: bool
    count: int
    first: dt.datetime
    last: dt.datetime
    status: Status
    query: str = ""

    @property
    def is_open(self) -> bool:
        return self.status in OPEN


@dataclass(frozen=True)
class IncidentPage:
    """A page of incidents, the cursor of the next one ("" on the last), and whether only the newest matches count."""

    rows: list[IncidentRow]
    next: str
    partial: bool = False


def incident_page(user: User, filters: Filters, cursor: str = "") -> IncidentPage:
    """Return the page behind a cursor, the first page without one."""
    after, found = _read_place(cursor), matching_alerts(user, filters)
    if _is_walked(user, filters):
        firsts, end = _walked(filters, after)
        partial = False
    else:
        firsts, end, partial = _newest(found, priority_column(user), after)
    return IncidentPage(_rows(user, filters, found, firsts), _written(end) if end else "", partial)


def _is_walked(user: User, filters: Filters) -> bool:
    statuses = set(filters.statuses)
    is_unfiltered = not filters.q and set(filters.values) <= {"status"}
    return user.scope.is_whole_estate and is_unfiltered and (filters.has_all_statuses or statuses == set(OPEN_STATUSES))


def _read_place(cursor: str) -> Place:
    found = read_cursor(CURSOR, cursor)
    if found is None:
        return BEFORE_ALL
    priority, at, pk = found
    return Place(priority, dt.datetime.fromisoformat(at), pk)


def _written(place: Place) -> str:
    return write_cursor(CURSOR, [place.priority, place.at.isoformat(), place.pk])


def _walked(filters: Filters, after: Place) -> tuple[list[FirstAlert], Place | None]:
    """Return the first alerts behind a place, and where the next page begins."""
    status = "" if filters.has_all_statuses else IS_OPEN
    holds = {alert: HOLDS.format(alert=alert, status=status.format(alert=alert)) for alert in ("alert", "first")}
    limits = {"walked": WALKED, "page": PAGE_SIZE + 1}
    with connection.cursor() as cursor:
        cursor.execute(WALK.format(**holds, **limits), after._asdict())
        firsts = [FirstAlert(Place(*row[:3]), row[3]) for row in cursor.fetchall()]
        if len(firsts) > PAGE_SIZE:
            return firsts[:PAGE_SIZE], firsts[PAGE_SIZE - 1].place
        cursor.execute(LAST_WALKED.format(**holds, **limits), after._asdict())
        last = cursor.fetchone()
    return firsts, Place(*last) if last else None


def _newest(found: QuerySet[Alert], column: str, after: Place) -> tuple[list[FirstAlert], Place | None, bool]:
    """Return the first alerts behind a place among the newest matches, the next page's place, and if more match."""
    newest = found.order_by("-first_seen", "-pk").values_list(column, "first_seen", "pk", "incident")[:NEWEST]
    try:
        statement, values = newest.query.sql_with_params()
    except EmptyResultSet:  # a filter that no alert can match
        return [], None, False
    with connection.cursor() as cursor:
        cursor.execute(FIRSTS.format(newest=statement, page=PAGE_SIZE + 1), [*values, *after])
        rows = cursor.fetchall()
    firsts = [FirstAlert(Place(*row[:3]), row[3]) for row in rows if row[2] is not None]
    end = firsts[PAGE_SIZE - 1].place if len(firsts) > PAGE_SIZE else None
    return firsts[:PAGE_SIZE], end, rows[0][4] == NEWEST


def alert_states(
    found: QuerySet[Alert], incidents: Iterable[int], up_to: Mapping[int, int] | None = None
) -> dict[int, list[AlertState]]:
    """Return the matching alerts of each incident, the newest first: at most one more than MAX_COUNT.

    `up_to`: the greatest number of an alert, by incident.
    """
    state = JSONObject(pk="pk", revision="revision", status="status", at="first_seen")
    of_incident = found.filter(incident=OuterRef("pk")).order_by("-pk")
    if up_to:
        limits = [When(pk=incident, then=Value(newest)) for incident, newest in up_to.items()]
        of_incident = of_incident.filter(pk__lte=OuterRef("newest"))
    states = ArraySubquery(of_incident.values_list(state)[: MAX_COUNT + 1])
    chosen = Incident.objects.filter(pk__in=set(incidents))
    if up_to:
        chosen = chosen.annotate(newest=Case(*limits, output_field=BigIntegerField()))
    rows = chosen.values_list("pk", states)
    return {
        pk: [
            AlertState(one["pk"], one["revision"], one["status"], dt.datetime.fromisoformat(one["at"]))
            # None for a scope without a place: Django writes NULL in place of a query that cannot find anything.
            for one in many or ()
        ]
        for pk, many in rows
    }


def _rows(user: User, filters: Filters, found: QuerySet[Alert], firsts: Sequence[FirstAlert]) -> list[IncidentRow]:
    states = alert_states(found, (each.incident for each in firsts if each.incident is not None))
    ids = [each.place.pk for each in firsts]
    names = {row["pk"]: row for row in Alert.objects.filter(pk__in=ids).values("pk", *NAMING)}
    alerts = {int(row["pk"]): row for row in alert_rows(user, ids, filters)}
    return [
        _row(filters, alerts[each.place.pk], each, names[each.place.pk], states.get(each.incident or 0, []))
        for each in firsts
        if each.place.pk in alerts and each.place.pk in names
    ]


NAMING: Final = (
    "incident__story", "namespace", "workload__owner_name", "workload__container_name", "cluster__name",
)  # fmt: skip
"""What names an incident, of its first alert."""


def _row(
    filters: Filters, alert: AlertRow, first: FirstAlert, naming: dict[str, Any], states: list[AlertState]
) -> IncidentRow:
    if len(states) <= 1:
        return IncidentRow(
            f"single-{alert['pk']}",
            alert["url"],
            alert["choice"],
            alert["title"],
            alert,
            is_single=True,
            is_routine=is_routine(naming["incident__story"] or ""),
            count=1,
            first=alert["started"],
            last=alert["started"],
            status=Status(alert["status"]),
        )
    return IncidentRow(
        f"incident-{first.incident}",
        reverse("alerts:incident", args=[first.incident]),
        selection_token(first.incident or 0, states) if len(states) <= MAX_COUNT else "",
        shown_name(naming, len(states)),
        alert,
        is_single=False,
        is_routine=is_routine(naming["incident__story"]),
        count=len(states),
        first=min(each.at for each in states),
        last=max(each.at for each in states),
        status=foremost_status(states),
        query=filters.having("incident", str(first.incident)).query,
    )


def shown_name(naming: dict[str, Any], count: int) -> str:
    """Return an incident's name, such as "Package install in ci/runner, 214 files"."""
    files = f"{MAX_COUNT:,}+" if count > MAX_COUNT else f"{count:,}"
    return incident_name(naming["incident__story"], workload_place(naming), files)


def workload_place(naming: dict[str, Any]) -> str:
    """Return where an alert's workload is, in short: "ci/runner"."""
    workload = naming["workload__owner_name"] or naming["workload__container_name"]
    return "/".join(filter(None, (naming["namespace"] or naming["cluster__name"], workload)))


def foremost_status(states: Iterable[AlertState]) -> Status:
    """Return the status that stands for those of all alerts: the one that asks for most."""
    found = {each.status for each in states}
    return next(status for status in Status if status in found)
