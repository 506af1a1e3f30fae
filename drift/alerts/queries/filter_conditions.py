"""The database condition of each filter."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final

from django.db.models import Q
from django.db.models.lookups import In
from django.utils import timezone

from accounts.models import User
from drift.alerts.domain.filters import NONE, Filters
from drift.alerts.models import AlertMention
from drift.alerts.models.alerts import IMAGE
from drift.fleet.models import Cluster
from drift.web.requests import bounded_int

WEEKS: Final = 14
"""Weeks in which an hour of a weekday is searched: enough for the ninety days of the charts."""
Values = tuple[str, ...]
Condition = Callable[[Values, User], Q]
NOTHING: Final = Q(pk__in=[])


def filter_condition(filters: Filters, user: User) -> Q:
    """Return the condition that every filter holds; of one filter's values any may. The search string is not part."""
    condition = Q() if filters.has_all_statuses else Q(status__in=filters.statuses)
    for name, values in filters.values.items():
        if name != "status":
            condition &= CONDITIONS[name](values, user)
    return condition


def _equals(column: str) -> Condition:
    return lambda values, _: Q(**{f"{column}__in": values})


def _equals_number(column: str) -> Condition:
    return lambda values, _: Q(**{f"{column}__in": _numbers(values)})


def _numbers(values: Values) -> list[int]:
    return [number for value in values if (number := bounded_int(value)) is not None]


def _image(values: Values, _: User) -> Q:
    return Q(In(IMAGE, [value[:512] for value in values]))


def _environment(values: Values, _: User) -> Q:
    return Q(cluster__in=Cluster.objects.filter(environment__in=_numbers(values)))


def _provider(values: Values, _: User) -> Q:
    return Q(cluster__in=Cluster.objects.filter(environment__provider__in=values))


def _assignee(values: Values, user: User) -> Q:
    condition = Q(assignee__in=_numbers(values))
    if "me" in values:
        condition |= Q(assignee=user)
    return condition | Q(assignee=None) if NONE in values else condition


def _incident(values: Values, _: User) -> Q:
    condition = Q(incident__in=_numbers(values))
    return condition | Q(incident=None) if NONE in values else condition


def _mentions(values: Values, user: User) -> Q:
    """Only the user's own mentions: a user cannot filter by the mentions of others."""
    return Q(pk__in=AlertMention.objects.filter(user=user).values("alert")) if "me" in values else Q()


def _sample(values: Values, _: User) -> Q:
    return Q(sample="yes" in values)


def sensor_ids(values: Values) -> list[uuid.UUID]:
    """Return the values that are ids of sensors in form."""
    return [found for value in values if (found := _uuid(value)) is not None]


def _sensor(values: Values, _: User) -> Q:
    return Q(sensor__in=sensor_ids(values))


def _uuid(value: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(value)
    except ValueError:
        return None


def _aside(_: Values, __: User) -> Q:
    return Q(set_aside_at__isnull=False)


def _since(values: Values, _: User) -> Q:
    days = _midnights(values)
    return Q(first_seen__gte=min(days)) if days else NOTHING


def _day(values: Values, _: User) -> Q:
    return _began(_midnights(values), dt.timedelta(days=1))


def _hour(values: Values, _: User) -> Q:
    """Weekday (Monday is 1) and hour (UTC) as in "3-14", in each of the last WEEKS."""
    today = timezone.now().replace(hour=0, minute=0, second=0, microsecond=0)
    starts = []
    for value in values:
        weekday, hour = map(bounded_int, value.partition("-")[::2])
        if weekday is not None and hour is not None and weekday in range(1, 8) and hour in range(24):
            last = today - dt.timedelta(days=(today.isoweekday() - weekday) % 7) + dt.timedelta(hours=hour)
            starts += [last - dt.timedelta(weeks=week) for week in range(WEEKS)]
    return _began(starts, dt.timedelta(hours=1))


def _midnights(values: Values) -> list[dt.datetime]:
    """Return the midnight (UTC) of each value that is an ISO 8601 date."""
    midnights = []
    for value in values:
        with suppress(ValueError):
            midnights.append(dt.datetime.combine(dt.date.fromisoformat(value), dt.time(), dt.UTC))
    # The first and last year: a time zone conversion or an added day would overflow.
    return [midnight for midnight in midnights if dt.MINYEAR + 1 < midnight.year < dt.MAXYEAR]


def _began(starts: list[dt.datetime], length: dt.timedelta) -> Q:
    # Ranges can use the index on first_seen; an expression on its weekday or hour would be computed for every alert.
    ranges = [Q(first_seen__gte=start, first_seen__lt=start + length) for start in starts]
    return Q(*ranges, _connector=Q.OR) if ranges else NOTHING


CONDITIONS: Final[Mapping[str, Condition]] = {
    "environment": _environment,
    "severity": _equals("severity"),
    "provider": _provider,
    "cluster": _equals_number("cluster"),
    "namespace": _equals("namespace"),
    "image": _image,
    "rule": _equals("rule_id"),
    "kind": _equals("binary__kind"),
    "outcome": _equals("outcome"),
    "assignee": _assignee,
    "mentions": _mentions,
    "incident": _incident,
    "binary": _equals_number("binary"),
    "sample": _sample,
    "sensor": _sensor,
    "aside": _aside,
    "from": _since,
    "day": _day,
    "hour": _hour,
}
"""By filter name; the status is in `Filters.statuses`, which has a default."""
