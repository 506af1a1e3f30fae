"""One incident: what it is, and its alerts in the order of time."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, TypedDict

from django.db.models import QuerySet

from accounts.models import User
from drift.alerts.domain.filters import ANY, Filters
from drift.alerts.domain.incident_story import is_routine
from drift.alerts.domain.selection_tokens import AlertState
from drift.alerts.models import Alert, Status
from drift.alerts.queries.alert_list import matching_alerts, priority_column
from drift.alerts.queries.incident_execs import TimelineExec, TimelineExecs, timeline_execs
from drift.alerts.queries.incident_list import NAMING, alert_states, shown_name, workload_place
from drift.web.cursors import KeysetPage, keyset_page

ORDER: Final = ("first_seen", "pk")
PAGE_SIZE: Final = 100
BARS: Final = 60
"""Parts that the time from the first alert to the last is divided into."""
QUIET: Final = dt.timedelta(minutes=1)
"""A pause that the timeline shows."""


class StatusCount(TypedDict):
    """The alerts of one status, and the query string that lists them."""

    label: str
    count: int
    query: str


@dataclass(frozen=True)
class TimelineBar:
    """The alerts that began in one part of the time: their share of the fullest part, of 100."""

    position: int
    count: int
    height: int


@dataclass(frozen=True)
class TimelineEntry:
    """An alert, what its containers executed since the one before, and how long no alert opened before it.

    `pause` is None for less than QUIET.
    """

    alert: Alert
    priority: int
    pause: dt.timedelta | None
    choice: str
    execs: list[TimelineExec]


@dataclass(frozen=True)
class IncidentSummary:
    """An incident as its page shows it, counted to at most one more than MAX_COUNT alerts."""

    pk: int
    name: str
    is_routine: bool
    place: str
    cluster: str
    count: int
    statuses: list[StatusCount]
    priority: int
    first: dt.datetime
    last: dt.datetime
    bars: list[TimelineBar]
    query: str

    @property
    def duration(self) -> dt.timedelta:
        return self.last - self.first


def incident_summary(user: User, pk: int) -> IncidentSummary | None:
    """Return an incident of which the user sees an alert; None where there is none."""
    filters = Filters(values={"incident": (str(pk),), "status": (ANY,)})
    found = matching_alerts(user, filters)
    column = priority_column(user)
    leading = found.order_by(f"-{column}", "-first_seen", "-pk").values(column, *NAMING).first()
    states = alert_states(found, [pk]).get(pk)
    if leading is None or not states:
        return None
    times = [each.at for each in states]
    return IncidentSummary(
        pk,
        shown_name(leading, len(states)),
        is_routine(leading["incident__story"]),
        workload_place(leading),
        leading["cluster__name"],
        len(states),
        _status_counts(filters, states),
        leading[column],
        min(times),
        max(times),
        _bars(times),
        filters.query,
    )


def _status_counts(filters: Filters, states: Sequence[AlertState]) -> list[StatusCount]:
    counts = Counter(each.status for each in states)
    return [
        {"label": status.label, "count": counts[status], "query": filters.having("status", status).query}
        for status in Status
        if counts[status]
    ]


def _bars(times: Sequence[dt.datetime]) -> list[TimelineBar]:
    first, length = min(times), max(times) - min(times)
    counts = Counter(min(BARS - 1, int(BARS * ((at - first) / length))) if length else 0 for at in times)
    highest = max(counts.values())
    return [TimelineBar(at, count, max(3, round(100 * count / highest))) for at, count in sorted(counts.items())]


def timeline_page(user: User, pk: int, cursor: str) -> KeysetPage[Alert]:
    """Return a page of the incident's alerts, the earliest first."""
    found: QuerySet[Any] = matching_alerts(user, Filters(values={"incident": (str(pk),), "status": (ANY,)}))
    return keyset_page(found.select_related("cluster", "pulse", "assignee", "detail"), ORDER, cursor, PAGE_SIZE)


def page_execs(user: User, pk: int, page: KeysetPage[Alert]) -> TimelineExecs:
    """Return what the containers of a page's alerts executed around them."""
    since = None
    if page.is_later and page.rows:
        filters = Filters(values={"incident": (str(pk),), "status": (ANY,)})
        earlier = matching_alerts(user, filters).filter(first_seen__lte=page.rows[0].first_seen)
        earlier = earlier.exclude(pk__in=[each.pk for each in page.rows])
        since = earlier.order_by("-first_seen", "-pk").values_list("first_seen", flat=True).first()
    return timeline_execs(user, page.rows, since, is_last=not page.next)


def timeline_entries(user: User, alerts: Sequence[Alert], execs: TimelineExecs) -> list[TimelineEntry]:
    """Return the alerts with the pauses between them, and what was executed meanwhile."""
    before = [None, *(alert.first_seen for alert in alerts)]
    return [
        TimelineEntry(
            alert,
            getattr(alert, priority_column(user)),
            alert.first_seen - last if last and alert.first_seen - last >= QUIET else None,
            f"{alert.pk}:{alert.revision}",
            gap,
        )
        for alert, last, gap in zip(alerts, before, execs.gaps, strict=False)
    ]
