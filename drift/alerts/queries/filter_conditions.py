"""The database condition of each filter."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable, Mapping
from typing import Final

from django.db.models import F, OuterRef, Q, Subquery, Value
from django.db.models.functions import Lower
from django.db.models.lookups import In, IsNull, PostgresOperatorLookup
from django.utils import timezone

from accounts.models import User
from drift.alerts.domain.filter_values import (
    HASH_PREFIX,
    SHA256,
    closed_span,
    filter_age,
    filter_span,
    like_pattern,
    priority_range,
)
from drift.alerts.domain.filters import NONE, Filters
from drift.alerts.models import (
    ActivityKind,
    AlertActivity,
    AlertMention,
    Binary,
    Resolution,
    SuppressionRule,
    Workload,
)
from drift.alerts.models.alerts import IMAGE
from drift.fleet.models import Cluster
from drift.policy.models import PolicyVersion
from drift.web.requests import bounded_int
from sensor import policy

MAX_NAMED: Final = 1_000
"""Rows that a condition names by their keys; more are a subquery."""
MAX_PATTERNS: Final = 20
"""Patterns that each path is compared with, which takes time where no trigram of theirs is rare."""
WEEKS: Final = 14
"""Weeks in which an hour of a weekday is searched: enough for the ninety days of the charts."""
Values = tuple[str, ...]
Condition = Callable[[Values, User], Q]
NOTHING: Final = Q(pk__in=[])
NO_ROW: Final = [0]
"""Keys of no row. Django sends no statement for an empty list: the time of a response would tell whether something out
of the user's scope has the path or address that they asked for."""


class Like(PostgresOperatorLookup):
    """`LIKE`, with a pattern of `domain.filter_values.like_pattern`."""

    lookup_name = "like"
    postgres_operator = "LIKE"


def filter_condition(filters: Filters, user: User) -> Q:
    """Return the condition that every filter holds; of one filter's values any may. The search string is not part."""
    condition = Q() if filters.has_all_statuses else Q(status__in=filters.statuses)
    for name, values in filters.values.items():
        if name != "status":
            condition &= CONDITIONS[name](values, user)
    return condition


def _equals(column: str) -> Condition:
    return lambda values, _: Q(**{f"{column}__in": values})


def _equals_or_none(column: str) -> Condition:
    """Return the condition on a column that is empty where it is not known, which the value NONE finds."""
    return lambda values, _: Q(**{f"{column}__in": ["" if value == NONE else value for value in values]})


def _known_as(column: str) -> Condition:
    """The same on a column that alerts from before it do not have either."""

    def condition(values: Values, _: User) -> Q:
        found = Q(**{f"{column}__in": [value for value in values if value != NONE]})
        return found | Q(**{column: ""}) | Q(**{f"{column}__isnull": True}) if NONE in values else found

    return condition


def _equals_number(column: str) -> Condition:
    return lambda values, _: Q(**{f"{column}__in": _numbers(values)})


def _numbers(values: Values) -> list[int]:
    return [number for value in values if (number := bounded_int(value)) is not None]


def _image(values: Values, _: User) -> Q:
    return Q(In(IMAGE, [value[:512] for value in values]))


def _names(values: Values) -> list[str]:
    """Return the values that are not numbers: a number names a row by its key."""
    return [value for value in values if bounded_int(value) is None]


def _environment(values: Values, _: User) -> Q:
    named = Q(environment__in=_numbers(values)) | Q(environment__name__in=_names(values))
    return Q(cluster__in=Cluster.objects.filter(named))


def _cluster(values: Values, _: User) -> Q:
    condition, names = Q(cluster__in=_numbers(values)), _names(values)
    return condition | Q(cluster__in=Cluster.objects.filter(name__in=names)) if names else condition


def _rule(values: Values, _: User) -> Q:
    """Rules by id, or by the name that they have in the latest version."""
    ids = [value for value in values if value in {"", policy.DEFAULT_RULE} or _uuid(value)]
    names = {value.casefold() for value in values} - {value.casefold() for value in ids}
    latest = PolicyVersion.objects.order_by("-number").first() if names else None
    rules = latest.document["rules"] if latest else []
    named = [rule["id"] for rule in rules if rule["name"].casefold() in names]
    return Q(rule_id__in=[*ids, *(value for value in values if value not in ids), *named])


def _suppression(values: Values, _: User) -> Q:
    """Rules by number or name; none: those that were deleted since."""
    condition, names = Q(suppressed_by__in=_numbers(values)), [value for value in _names(values) if value != NONE]
    if NONE in values:
        condition |= Q(suppressed_by=None, verdict=Resolution.SUPPRESSED)
    return condition | Q(suppressed_by__in=SuppressionRule.objects.filter(name__in=names)) if names else condition


def _of_binaries(condition: Q, otherwise: Q | None = None) -> Q:
    """Return the condition for alerts of the binaries that meet `condition`.

    A few are named to the planner, which then knows how many alerts they have. Without that it takes each path for as
    common as every other, and reads all alerts for one that has none.
    """
    binaries = Binary.objects.filter(condition)
    ids = list(binaries.values_list("pk", flat=True)[: MAX_NAMED + 1])
    if len(ids) <= MAX_NAMED:
        return Q(binary__in=ids or NO_ROW)
    return Q(binary__in=binaries.values("pk")) if otherwise is None else otherwise


def _path(values: Values, _: User) -> Q:
    """Paths, whole or with `*` for any characters, of which the first MAX_PATTERNS are compared."""
    found = Q(path__in=[value for value in values if "*" not in value])
    for value in [value for value in values if "*" in value][:MAX_PATTERNS]:
        found |= Q(Like(F("path"), Value(like_pattern(value))))
    return _of_binaries(found, otherwise=found)


def _hash(values: Values, _: User) -> Q:
    """SHA-256, whole or at least its first eight digits."""
    found = Q(pk__in=[])
    for value in map(str.lower, values):
        if SHA256.fullmatch(value):
            found |= Q(sha256=value)
        elif HASH_PREFIX.fullmatch(value):
            found |= _begins("sha256", value)
    return _of_binaries(found)


def _begins(column: str, digits: str) -> Q:
    """Return the condition for strings of hexadecimal digits that begin with these: a range, which any index serves."""
    return Q(**{f"{column}__gte": digits, f"{column}__lt": f"{digits}g"})


def _container(values: Values, _: User) -> Q:
    """Containers by id, whole or at least its first eight digits, or by name."""
    condition = Q(container_id__in=values)
    for value in values:
        if HASH_PREFIX.fullmatch(value):
            condition |= _begins("container_id", value)
    workloads = Workload.objects.filter(container_name__in=values)
    ids = list(workloads.values_list("pk", flat=True)[: MAX_NAMED + 1])
    return condition | Q(workload__in=ids if len(ids) <= MAX_NAMED else workloads.values("pk"))


def _provider(values: Values, _: User) -> Q:
    return Q(cluster__in=Cluster.objects.filter(environment__provider__in=values))


def _assignee(values: Values, user: User) -> Q:
    condition = Q(assignee__in=_people(values, user))
    return condition | Q(assignee=None) if NONE in values else condition


def _people(values: Values, user: User) -> list[int]:
    """Return the keys of the users that are meant by `me`, an address or a number; NO_ROW for unknown addresses."""
    addresses = [value.lower() for value in values if "@" in value]
    named = User.objects.annotate(address=Lower("email")).filter(address__in=addresses) if addresses else ()
    unknown = NO_ROW if addresses else []
    return [*_numbers(values), *([user.pk] if "me" in values else []), *(each.pk for each in named)] or unknown


def _closed(values: Values, _: User) -> Q:
    spans = [span for value in values if (span := closed_span(value)) is not None]
    ranges = [Q(closed_at__gte=first, closed_at__lt=end) for first, end in spans]
    return Q(*ranges, _connector=Q.OR) if ranges else NOTHING


def _closer_condition(values: Values, user: User) -> Q:
    """Whose status change is the latest of a closed alert; none: the portal's own, or a suppression rule's."""
    changes = AlertActivity.objects.filter(kind=ActivityKind.STATUS)
    last = Subquery(changes.filter(alert=OuterRef("pk")).order_by("-pk").values("actor")[:1])
    people = _people(values, user)
    # Their changes are few among all alerts: only the alerts of those are looked at, each by its latest.
    condition = Q(pk__in=changes.filter(actor__in=people).values("alert")) & Q(In(last, people)) if people else NOTHING
    is_closed = Q(closed_at__isnull=False)
    return is_closed & (condition | Q(IsNull(last, True)) if NONE in values else condition)  # noqa: FBT003 - the operand


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


def _priority(values: Values, user: User) -> Q:
    column = "priority" if user.scope.is_whole_estate else "scoped_priority"
    found = Q(pk__in=[])
    for value in values:
        if (span := priority_range(value)) is not None:
            found |= Q(**{f"{column}__gte": span[0], f"{column}__lte": span[1]})
    return found


def _newer(values: Values, _: User) -> Q:
    ages = _ages(values)
    return Q(first_seen__gte=timezone.now() - max(ages)) if ages else NOTHING


def _older(values: Values, _: User) -> Q:
    ages = _ages(values)
    return Q(first_seen__lt=timezone.now() - min(ages)) if ages else NOTHING


def _ages(values: Values) -> list[dt.timedelta]:
    return [age for value in values if (age := filter_age(value)) is not None]


def _since(values: Values, _: User) -> Q:
    spans = [span for value in values if (span := filter_span(value)) is not None]
    return Q(first_seen__gte=min(first for first, _ in spans)) if spans else NOTHING


def _until(values: Values, _: User) -> Q:
    spans = [span for value in values if (span := filter_span(value)) is not None]
    return Q(first_seen__lt=max(end for _, end in spans)) if spans else NOTHING


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
    spans = [span for value in values if (span := filter_span(value)) is not None]
    return [first for first, end in spans if end - first == dt.timedelta(days=1)]


def _began(starts: list[dt.datetime], length: dt.timedelta) -> Q:
    # Ranges can use the index on first_seen; an expression on its weekday or hour would be computed for every alert.
    ranges = [Q(first_seen__gte=start, first_seen__lt=start + length) for start in starts]
    return Q(*ranges, _connector=Q.OR) if ranges else NOTHING


CONDITIONS: Final[Mapping[str, Condition]] = {
    "environment": _environment,
    "severity": _equals("severity"),
    "priority": _priority,
    "provider": _provider,
    "cluster": _cluster,
    "namespace": _equals("namespace"),
    "image": _image,
    "rule": _rule,
    "kind": _equals("binary__kind"),
    "path": _path,
    "hash": _hash,
    "writer": _equals_or_none("writer"),
    "parent": _equals_or_none("parent"),
    "session": _known_as("session"),
    "writer_session": _known_as("writer_session"),
    "writer_origin": _known_as("writer_origin"),
    "node": _equals("node"),
    "pod": _equals_or_none("pod_name"),
    "container": _container,
    "outcome": _equals("outcome"),
    "verdict": _equals("verdict"),
    "suppression": _suppression,
    "closed": _closed,
    "closed_by": _closer_condition,
    "assignee": _assignee,
    "mentions": _mentions,
    "incident": _incident,
    "binary": _equals_number("binary"),
    "sample": _sample,
    "sensor": _sensor,
    "aside": _aside,
    "newer": _newer,
    "older": _older,
    "from": _since,
    "until": _until,
    "day": _day,
    "hour": _hour,
}
"""By filter name; the status is in `Filters.statuses`, which has a default."""
