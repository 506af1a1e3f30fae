"""What an alert consists of: its events while they are kept, its hours, and its binary in other workloads."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Final

from django.conf import settings
from django.db.models import Q, QuerySet, Sum
from django.db.models.functions import TruncDay
from django.utils import timezone

from accounts.models import User
from drift.alerts.models import Alert, AlertHour, DriftEvent, Sighting

LATEST: Final = 20
MIN_BARS: Final = 48
"""Bars that the histogram has room for at least: hours while they fit, then days."""
HOUR, DAY = dt.timedelta(hours=1), dt.timedelta(days=1)


@dataclass(frozen=True)
class HistogramBar:
    """The execs of one hour or day, its height of 100, and its position from the left."""

    start: dt.datetime
    count: int
    height: int
    position: int


@dataclass(frozen=True)
class Histogram:
    """Bars in order, the last at the right end; the number of positions, and the start of the leftmost."""

    bars: list[HistogramBar]
    room: int
    start: dt.datetime


def histogram(alert: Alert) -> Histogram | None:
    """Return the alert's execs over time; None without any. Empty hours have a position but no bar."""
    hours = AlertHour.objects.filter(alert=alert)
    step = HOUR
    counts = dict(hours.values_list("hour", "count").order_by("hour"))
    if counts and (max(counts) - min(counts)) / step >= MIN_BARS:
        step = DAY
        days = hours.annotate(day=TruncDay("hour", tzinfo=dt.UTC)).values("day").annotate(count=Sum("count"))
        counts = dict(days.order_by("day").values_list("day", "count"))
    if not counts:
        return None
    first, last, highest = min(counts), max(counts), max(counts.values())
    room = max(MIN_BARS, round((last - first) / step) + 1)
    left = last - (room - 1) * step
    bars = [
        HistogramBar(start, count, max(3, round(100 * count / highest)), round((start - left) / step))
        for start, count in counts.items()
    ]
    return Histogram(bars, room, left)


def latest_events(user: User, alert: Alert) -> list[DriftEvent]:
    """Return the newest of the alert's events that are still kept."""
    oldest = timezone.now().date() - dt.timedelta(days=settings.EVENT_RETENTION_DAYS)
    events: QuerySet[DriftEvent] = DriftEvent.objects.visible_to(user).filter(
        fingerprint=alert.fingerprint,
        observed_on__gte=max(oldest, alert.first_seen.date()),
        observed_on__lte=alert.pulse.last_seen.date(),
        observed_at__gte=alert.first_seen,
        observed_at__lte=alert.pulse.last_seen,
    )
    return list(events.exclude(action="ignore").select_related("binary").order_by("-observed_at")[:LATEST])


def other_sightings(user: User, alert: Alert) -> list[Sighting]:
    """Return the other workloads where the same binary was seen: the same content, or path where it has no hash."""
    binary = alert.binary
    same = Q(binary__sha256=binary.sha256) if binary.sha256 else Q(binary__sha256="", binary__path=binary.path)
    found: QuerySet[Sighting] = Sighting.objects.visible_to(user).filter(same)
    found = found.exclude(workload__scope=alert.workload.scope).select_related("workload__cluster", "binary")
    return list(found.order_by("-last_seen_on", "-pk")[:LATEST])
