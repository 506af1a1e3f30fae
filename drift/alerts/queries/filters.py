"""What of the alerts a page, an export or a poll is about: read from a query string, and written back."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Final
from urllib.parse import urlencode

from django.db.models import Q
from django.db.models.lookups import In
from django.http import QueryDict
from django.utils import timezone

from accounts.models import User
from drift.alerts.models import OPEN, Alert, AlertMention, Severity, Status
from drift.alerts.models.alerts import IMAGE
from drift.fleet.models import Cluster

MAX_TEXT: Final = 256
MAX_VALUES: Final = 200
WEEKS: Final = 14
"""Weeks that an hour of a weekday is looked for in: ninety days lie in them."""
SHORT: Final = 3
"""A text of fewer letters has no trigram, and so no index: the newest RECENT alerts are looked through for it."""
RECENT: Final = 10_000
ANY: Final = "any"
"""`status=any`: closed alerts too. No status at all means the open ones, as in the reference."""
NONE: Final = "none"
"""`assignee=none`, `incident=none`: alerts that have none."""
DEFAULT_STATUS: Final = tuple(status.value for status in OPEN)


def number(text: str) -> int | None:
    """The number that somebody wrote in digits; None for anything else, "²" too, or what no column holds."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else None


def _numbers(values: tuple[str, ...]) -> list[int]:
    return [found for value in values if (found := number(value)) is not None]


def _one_of(name: str) -> Callable[[tuple[str, ...], User], Q]:
    return lambda values, _: Q(**{f"{name}__in": values})


def _number_of(name: str) -> Callable[[tuple[str, ...], User], Q]:
    return lambda values, _: Q(**{f"{name}__in": _numbers(values)})


def _image(values: tuple[str, ...], _: User) -> Q:
    return Q(In(IMAGE, [value[:512] for value in values]))


def _environment(values: tuple[str, ...], _: User) -> Q:
    return Q(cluster__in=Cluster.objects.filter(environment__in=_numbers(values)))


def _provider(values: tuple[str, ...], _: User) -> Q:
    return Q(cluster__in=Cluster.objects.filter(environment__provider__in=values))


def _assignee(values: tuple[str, ...], user: User) -> Q:
    wanted = Q(assignee__in=_numbers(values))
    if "me" in values:
        wanted |= Q(assignee=user)
    return wanted | Q(assignee=None) if NONE in values else wanted


def _incident(values: tuple[str, ...], _: User) -> Q:
    wanted = Q(incident__in=_numbers(values))
    return wanted | Q(incident=None) if NONE in values else wanted


def _mentions(values: tuple[str, ...], user: User) -> Q:
    """Alerts whose comments mention the user who asks: nobody else's mentions can be looked through."""
    return Q(pk__in=AlertMention.objects.filter(user=user).values("alert")) if "me" in values else Q()


def _dates(values: tuple[str, ...]) -> list[dt.datetime]:
    """The midnights (UTC) of the values that are dates as ISO 8601 writes them."""
    found = []
    for value in values:
        with suppress(ValueError):
            found.append(dt.datetime.combine(dt.date.fromisoformat(value), dt.time(), dt.UTC))
    return [day for day in found if dt.MINYEAR + 1 < day.year < dt.MAXYEAR]


def _began(starts: list[dt.datetime], length: dt.timedelta) -> Q:
    """Began in one of the stretches: an index finds those, where a time of day would be asked of each alert."""
    if not starts:
        return Q(pk__in=[])
    ranges = [Q(first_seen__gte=start, first_seen__lt=start + length) for start in starts]
    return Q(*ranges, _connector=Q.OR)


def _since(values: tuple[str, ...], _: User) -> Q:
    days = _dates(values)
    return Q(first_seen__gte=min(days)) if days else Q(pk__in=[])


def _day(values: tuple[str, ...], _: User) -> Q:
    return _began(_dates(values), dt.timedelta(days=1))


def _hour(values: tuple[str, ...], _: User) -> Q:
    """Weekday (Monday is 1) and hour (UTC), as in "3-14", of the weeks that a chart may show."""
    today = timezone.now().replace(hour=0, minute=0, second=0, microsecond=0)
    starts = []
    for value in values:
        weekday, hour = map(number, value.partition("-")[::2])
        if weekday is not None and hour is not None and weekday in range(1, 8) and hour in range(24):
            last = today - dt.timedelta(days=(today.isoweekday() - weekday) % 7) + dt.timedelta(hours=hour)
            starts += [last - dt.timedelta(weeks=week) for week in range(WEEKS)]
    return _began(starts, dt.timedelta(hours=1))


def _sample(values: tuple[str, ...], _: User) -> Q:
    return Q(sample="yes" in values)


@dataclass(frozen=True)
class Field:
    """One thing that alerts are filtered by: its name on the pill, and the condition that its values make."""

    label: str
    where: Callable[[tuple[str, ...], User], Q]


FIELDS: Final[Mapping[str, Field]] = {
    "environment": Field("Subscription", _environment),
    "status": Field("Status", _one_of("status")),
    "severity": Field("Severity", _one_of("severity")),
    "provider": Field("Cloud", _provider),
    "cluster": Field("Cluster", _number_of("cluster")),
    "namespace": Field("Namespace", _one_of("namespace")),
    "image": Field("Image", _image),
    "rule": Field("Rule", _one_of("rule_id")),
    "kind": Field("Drift kind", _one_of("binary__kind")),
    "outcome": Field("Outcome", _one_of("outcome")),
    "assignee": Field("Assignee", _assignee),
    "mentions": Field("Mentions", _mentions),
    "incident": Field("Incident", _incident),
    "binary": Field("Binary", _number_of("binary")),
    "sample": Field("Sample alerts", _sample),
    "from": Field("Since", _since),
    "day": Field("Day", _day),
    "hour": Field("Weekday and hour (UTC)", _hour),
}
CHOICES: Final = {
    "status": tuple(Status.values),
    "severity": tuple(Severity.values),
    "outcome": ("none", "blocked", "not_blocked"),
}


@dataclass(frozen=True)
class Filters:
    """A search text and, for each field that is filtered by, its values."""

    q: str = ""
    values: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def read(cls, query: QueryDict) -> Filters:
        """From a page's query string; what is unknown or too long is left out."""
        values = {name: _clean(name, query.getlist(name)) for name in FIELDS if name in query}
        return cls(
            query.get("q", "").replace("\0", "").strip()[:MAX_TEXT],
            {name: kept for name, kept in values.items() if kept},
        )

    @property
    def statuses(self) -> tuple[str, ...]:
        """The statuses that are shown; without a choice, the open ones."""
        chosen = self.values.get("status", DEFAULT_STATUS)
        return tuple(Status.values) if ANY in chosen else chosen

    def condition(self, user: User) -> Q:
        """All fields hold; of one field's values any does. What is searched for is `text`'s and `alert`'s business."""
        found = Q()
        if set(self.statuses) != set(Status.values):
            found &= Q(status__in=self.statuses)
        for name, values in self.values.items():
            if name != "status":
                found &= FIELDS[name].where(values, user)
        return found

    @property
    def text(self) -> str:
        """What is searched for, as it is stored."""
        return self.q.lower()

    @property
    def is_short(self) -> bool:
        return 0 < len(self.q) < SHORT

    @property
    def alert(self) -> int | None:
        """The number of the alert that is searched for, where there is such a one: then it alone is found."""
        pk = number(self.q.lstrip("#"))
        return pk if pk is not None and Alert.objects.filter(pk=pk).exists() else None

    def without(self, name: str) -> Filters:
        """The same with one field no longer filtered by; without a status filter all statuses are shown."""
        kept = {key: value for key, value in self.values.items() if key != name}
        return replace(self, values={**kept, "status": (ANY,)} if name == "status" else kept)

    def having(self, name: str, *values: str) -> Filters:
        """The same with a field filtered by these values alone."""
        return replace(self, values={**self.values, name: values})

    def pairs(self, leave_out: str = "") -> list[tuple[str, str]]:
        """As query string pairs, for links and hidden inputs."""
        pairs = [("q", self.q)] if self.q and leave_out != "q" else []
        return pairs + [(name, one) for name, many in self.values.items() if name != leave_out for one in many]

    @property
    def query(self) -> str:
        return urlencode(self.pairs())


def _clean(name: str, values: list[str]) -> tuple[str, ...]:
    allowed: Any = CHOICES.get(name)
    kept = [value[: 4 * MAX_TEXT] for value in values[:MAX_VALUES] if "\0" not in value]
    if name == "status" and ANY in kept:
        return (ANY,)
    return tuple(value for value in dict.fromkeys(kept) if allowed is None or value in allowed)
