"""The filter pills above the list: the active filters in words, and their other options."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from django.db.models import F, Q

from accounts.models import User
from drift.alerts.domain.alert_wording import ORIGINS, SESSIONS, UNKNOWN, WRITER_SESSIONS
from drift.alerts.domain.filters import CHOICES, LABELS, NONE, OUTCOMES, Filters
from drift.alerts.models import Binary, Resolution, Severity, Status
from drift.alerts.queries.colleagues import MAX_CHOICES, assignable_users
from drift.alerts.queries.filter_conditions import sensor_ids
from drift.alerts.queries.places import visible_clusters, visible_environments
from drift.alerts.queries.suppression_scope import visible_rules
from drift.fleet.models import Provider, Sensor, SensorState
from drift.policy.domain.diff import DEFAULT_NAME
from drift.policy.models import PolicyVersion
from drift.web.requests import bounded_int
from sensor import policy
from sensor.policy.drift_kinds import DRIFT_KINDS

ALWAYS_SHOWN: Final = ("environment", "status", "severity")
ADDABLE: Final = (
    "priority",
    "provider",
    "cluster",
    "namespace",
    "image",
    "rule",
    "kind",
    "path",
    "hash",
    "writer",
    "writer_origin",
    "writer_session",
    "parent",
    "session",
    "node",
    "pod",
    "container",
    "outcome",
    "verdict",
    "suppression",
    "closed",
    "closed_by",
    "assignee",
    "mentions",
    "newer",
    "older",
    "from",
    "until",
    "sample",
    "sensor",
    "aside",
)
Option = tuple[str, str]
SUGGESTED: Final = {"image": "image_name", "namespace": "namespace"}
"""Filters without options: the rule property whose values are suggested while typing."""
PRIORITIES: Final = (("urgent", "75 to 100"), ("raised", "50 to 74"), ("usual", "25 to 49"), ("calm", "0 to 24"))
HINTS: Final = {
    "path": "/opt/* – an asterisk stands for any characters",
    "hash": "The first eight digits or more",
    "writer": "Program that wrote the file, as in curl",
    "parent": "Program that started it, as in sh",
    "container": "Name, or eight digits of the id or more",
    "newer": "30m, 12h, 2d or 1w",
    "older": "30m, 12h, 2d or 1w",
    "from": "2026-11-29 or 2026-11-29T16:30 (UTC)",
    "until": "2026-11-29 or 2026-11-29T16:30 (UTC)",
    "closed": "2026-11 or 2026-11-29 (UTC)",
}
"""What to type, for filters without options."""


@dataclass(frozen=True)
class Pill:
    """One filter: its value in words, its options (None: a value is typed), and the filters without it.

    `suggested`: the property whose values are suggested. `hint`: what to type. `hidden`: the other filters, for the
    pill's form.
    """

    name: str
    label: str
    text: str
    chosen: tuple[str, ...]
    options: list[Option] | None
    suggested: str
    hint: str
    hidden: list[tuple[str, str]]
    removed: Filters | None
    open: bool


def pills(user: User, filters: Filters, adding: str = "") -> list[Pill]:
    """Return the pills that are always shown, those of the other set filters, then the one being added, open."""
    names = [*ALWAYS_SHOWN, *(name for name in filters.values if name not in ALWAYS_SHOWN)]
    if adding in ADDABLE and adding not in names:
        names.append(adding)
    return [_pill(user, filters, name, adding) for name in names]


def addable_filters(filters: Filters) -> list[Option]:
    """Return (name, label) of the filters that "Add filter" offers."""
    return [(name, LABELS[name]) for name in ADDABLE if name not in filters.values]


def _pill(user: User, filters: Filters, name: str, adding: str) -> Pill:
    chosen = filters.statuses if name == "status" else filters.values.get(name, ())
    is_unlimited = not chosen or (name == "status" and filters.has_all_statuses)
    options = list(OPTIONS[name](user)) if name in OPTIONS else None
    # A filter may name a row instead of its key: its option is chosen then.
    keys = {label.casefold(): key for key, label in options or ()}
    return Pill(
        name,
        LABELS[name],
        "All" if is_unlimited else _labels(user, name, chosen, options),
        tuple(keys.get(value.casefold(), value) for value in chosen),
        options,
        SUGGESTED.get(name, ""),
        HINTS.get(name, ""),
        filters.pairs(leave_out=name),
        None if is_unlimited else filters.without(name),
        name == adding,
    )


def _labels(user: User, name: str, chosen: tuple[str, ...], options: list[Option] | None) -> str:
    labels = dict(options or ())
    if name == "binary":
        numbers = [number for value in chosen if (number := bounded_int(value)) is not None]
        binaries = Binary.objects.visible_to(user).filter(pk__in=numbers)
        labels = {str(pk): path for pk, path in binaries.values_list("pk", "path")}
    if name == "sensor":
        named = Sensor.objects.visible_to(user).filter(pk__in=sensor_ids(chosen))
        labels |= {str(pk): node for pk, node in named.values_list("pk", "node")}
    return ", ".join(labels.get(value, value) or "None" for value in chosen)


def _environments(user: User) -> Iterable[Option]:
    rows = visible_environments(user).order_by("name").values_list("pk", "name")[:MAX_CHOICES]
    return [(str(pk), name) for pk, name in rows]


def _clusters(user: User) -> Iterable[Option]:
    rows = visible_clusters(user).order_by("name").values_list("pk", "name")[:MAX_CHOICES]
    return [(str(pk), name) for pk, name in rows]


def _sensors(user: User) -> Iterable[Option]:
    """Return the sensors in quarantine first, then the live ones, up to MAX_CHOICES."""
    rows = Sensor.objects.visible_to(user).filter(Q(state=SensorState.LIVE) | Q(quarantined_at__isnull=False))
    found = rows.order_by(F("quarantined_at").desc(nulls_last=True), "node").values_list("pk", "node", "cluster__name")
    return [(str(pk), f"{node} ({cluster})") for pk, node, cluster in found[:MAX_CHOICES]]


def _rules(_: User) -> Iterable[Option]:
    latest = PolicyVersion.objects.order_by("-number").first()
    rules = latest.document["rules"][:MAX_CHOICES] if latest else []
    return [*((rule["id"], rule["name"]) for rule in rules), (policy.DEFAULT_RULE, DEFAULT_NAME)]


def _words(values: Iterable[str], words: Mapping[str, str]) -> list[Option]:
    return [(value, words.get(value, UNKNOWN if value == NONE else value)) for value in values]


def _suppressions(user: User) -> Iterable[Option]:
    """Return the rules that the user sees, by name, up to MAX_CHOICES."""
    return [(str(each.rule.pk), each.rule.name) for each in visible_rules(user)][:MAX_CHOICES]


def _assignees(user: User) -> Iterable[Option]:
    return [("me", "Me"), (NONE, "Unassigned"), *_people(user)]


def _people(user: User) -> Iterable[Option]:
    return ((str(pk), name) for pk, name in assignable_users(user))


OPTIONS: Final[dict[str, Callable[[User], Iterable[Option]]]] = {
    "environment": _environments,
    "status": lambda _: Status.choices,
    "severity": lambda _: Severity.choices,
    "priority": lambda _: PRIORITIES,
    "provider": lambda _: Provider.choices,
    "cluster": _clusters,
    "rule": _rules,
    "kind": lambda _: [(kind.name, kind.label) for kind in DRIFT_KINDS],
    "outcome": lambda _: OUTCOMES.items(),
    "session": lambda _: _words(CHOICES["session"], SESSIONS),
    "writer_session": lambda _: _words(CHOICES["writer_session"], WRITER_SESSIONS),
    "writer_origin": lambda _: _words(CHOICES["writer_origin"], ORIGINS),
    "verdict": lambda _: Resolution.choices,
    "suppression": _suppressions,
    "assignee": _assignees,
    "closed_by": lambda user: [("me", "Me"), (NONE, "Nobody: a rule, or Driftwatch"), *_people(user)],
    "mentions": lambda _: [("me", "Me")],
    "sample": lambda _: [("yes", "Only sample alerts"), ("no", "No sample alerts")],
    "sensor": _sensors,
    "aside": lambda _: [("yes", "Only alerts of sensors in quarantine")],
}
"""The filters whose values are chosen from a list."""
