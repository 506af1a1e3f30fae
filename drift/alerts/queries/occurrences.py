"""What an alert is made of: its events while they are kept, its hours for ever, its binary elsewhere."""

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
BARS: Final = 48
"""Bars that the histogram has room for at least: hours while they fit, days after that."""
HOUR, DAY = dt.timedelta(hours=1), dt.timedelta(days=1)


@dataclass(frozen=True)
class Bar:
    """The execs of one hour or day, how high its bar is of 100, and where it stands."""

    start: dt.datetime
    count: int
    height: int
    place: int


@dataclass(frozen=True)
class Histogram:
    """Bars, in order, the last at the right end; for how many there is room, and when the leftmost would start."""

    bars: list[Bar]
    room: int
    start: dt.datetime


def histogram(alert: Alert) -> Histogram | None:
    """The alert's execs over time; hours without any are left out of the list, not of the picture. None without any."""
    hours = AlertHour.objects.filter(alert=alert)
    step = HOUR
    counts = dict(hours.values_list("hour", "count").order_by("hour"))
    if counts and (max(counts) - min(counts)) / step >= BARS:
        step = DAY
        days = hours.annotate(day=TruncDay("hour", tzinfo=dt.UTC)).values("day").annotate(count=Sum("count"))
        counts = dict(days.order_by("day").values_list("day", "count"))
    if not counts:
        return None
    first, last, most = min(counts), max(counts), max(counts.values())
    room = max(BARS, round((last - first) / step) + 1)
    left = last - (room - 1) * step
    bars = [
        Bar(start, count, max(3, round(100 * count / most)), round((start - left) / step))
        for start, count in counts.items()
    ]
    return Histogram(bars, room, left)


def latest_events(user: User, alert: Alert) -> list[DriftEvent]:
    """The alert's newest events that are still kept."""
    oldest = timezone.now().date() - dt.timedelta(days=settings.EVENT_RETENTION_DAYS)
    events: QuerySet[DriftEvent] = DriftEvent.objects.visible_to(user).filter(
        fingerprint=alert.fingerprint,
        observed_on__gte=max(oldest, alert.first_seen.date()),
        observed_on__lte=alert.pulse.last_seen.date(),
        observed_at__gte=alert.first_seen,
        observed_at__lte=alert.pulse.last_seen,
    )
    return list(events.exclude(action="ignore").order_by("-observed_at")[:LATEST])


def elsewhere(user: User, alert: Alert) -> list[Sighting]:
    """Other workloads in which the same binary was seen: the same content, or the same path where it is not known."""
    binary = alert.binary
    same = Q(binary__sha256=binary.sha256) if binary.sha256 else Q(binary__sha256="", binary__path=binary.path)
    found: QuerySet[Sighting] = Sighting.objects.visible_to(user).filter(same)
    found = found.exclude(workload__scope=alert.workload.scope).select_related("workload__cluster", "binary")
    return list(found.order_by("-last_seen_on", "-pk")[:LATEST])
