"""Values that exist in the estate, to suggest for a rule's condition. Only recently seen rows are searched."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from django.db.models import Model, QuerySet

from accounts.models import User
from drift.alerts.models import Alert, Binary, Workload
from drift.fleet.models import Cluster
from sensor.names.images import LIBRARY, bare_name
from sensor.policy import LIMITS
from sensor.policy.properties import NAME_SEPARATOR, TABLE, Property

MAX_TYPED: Final = LIMITS["value"]
"""Characters of a rule's value."""
MAX_SUGGESTIONS: Final = 20
NEWEST: Final = 20_000
"""Rows of a column that are searched, those seen last."""
NEWEST_LABELS: Final = 2_000
"""The same for labels: each row has many."""
MAX_VALUES: Final = 1_000
"""Values that are sorted to choose MAX_SUGGESTIONS of them."""
SHORT_LIVED: Final = frozenset(
    {
        "pod-template-hash",
        "controller-revision-hash",
        "pod-template-generation",
        "controller-uid",
        "batch.kubernetes.io/controller-uid",
        "job-name",
        "batch.kubernetes.io/job-name",
        "statefulset.kubernetes.io/pod-name",
    }
)
"""Labels whose values change with every release, run or pod, so no rule should match them."""
Source = Callable[[User, str], Iterable[str]]


def suggestions(user: User, name: str, typed: str) -> list[str]:
    """Return values of the property `name` that contain `typed`, case-insensitively; those that start with it first.

    None for an unknown property and for one whose values are not suggested. One query.
    """
    source = SOURCES.get(name)
    if source is None or "\0" in typed:
        return []
    wanted = typed.casefold()
    found = {value for value in source(user, typed) if value and wanted in value.casefold()}
    return sorted(found, key=lambda value: (not value.casefold().startswith(wanted), value.casefold(), value))[
        :MAX_SUGGESTIONS
    ]


def _column(model: type[Model], column: str, newest_first: str) -> Source:
    def source(user: User, typed: str) -> Iterable[str]:
        visible: QuerySet[Model] = model.objects.visible_to(user)  # type: ignore[attr-defined]
        newest = visible.order_by(newest_first).values("pk")[:NEWEST]
        found = visible.filter(pk__in=newest, **{f"{column}__icontains": typed})
        return found.order_by().values_list(column, flat=True).distinct()[:MAX_VALUES]

    return source


def _images(model: type[Model], columns: tuple[str, ...]) -> Source:
    """Return image names as rules should match them: without a tag, and short for Docker's own library."""
    stored = _column(model, columns[0], "-last_seen_on")
    return lambda user, typed: (bare_name(name.removeprefix(LIBRARY)) for name in stored(user, typed))


def _labels(columns: tuple[str, ...]) -> Source:
    def source(user: User, _: str) -> Iterable[str]:
        rows = Workload.objects.visible_to(user).order_by("-last_seen_on").values_list(columns[0], flat=True)
        for labels in rows[:NEWEST_LABELS]:
            yield from (f"{key}={value}" for key, value in labels.items() if key not in SHORT_LIVED)

    return source


def _of_alerts(column: str) -> Source:
    return _column(Alert, column, "-first_seen")


def _names(column: str) -> Source:
    stored = _of_alerts(column)
    return lambda user, typed: (name for names in stored(user, typed) for name in names.split(NAME_SEPARATOR))


def _source(each: Property) -> Source:
    """Return the source of a property's stored values: the smallest table that has them."""
    if each.form == "image":
        return _images(Binary if each.row == "binary" else Workload, each.columns)
    if each.form == "labels":
        return _labels(each.columns)
    if each.alert:
        return (_names if each.form == "names" else _of_alerts)(each.alert)
    if each.row == "binary":
        return _column(Binary, each.columns[0], "-last_seen_on")
    if each.columns[0].startswith("cluster__"):
        # All clusters: a rule may be written before a new one reports any drift.
        return _column(Cluster, each.columns[0].removeprefix("cluster__"), "-pk")
    return _column(Workload, each.columns[0], "-last_seen_on")


SOURCES: Final = {each.name: _source(each) for each in TABLE if each.is_suggested}
