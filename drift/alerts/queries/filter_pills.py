"""The filter pills above the list: what is filtered by, in words, and what else could be chosen."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from accounts.models import User
from accounts.roles import Role
from drift.alerts.models import Binary, Severity, Status
from drift.alerts.queries.filters import FIELDS, Filters
from drift.fleet.models import Cluster, Environment, Provider
from drift.policy.models import PolicyVersion
from sensor import policy

ALWAYS: Final = ("environment", "status", "severity")
ADDABLE: Final = (
    "provider",
    "cluster",
    "namespace",
    "image",
    "rule",
    "kind",
    "outcome",
    "assignee",
    "mentions",
    "sample",
)
MOST: Final = 200
"""Choices offered by a pill; a longer list is for the search box."""
Option = tuple[str, str]

OUTCOMES: Final = (("none", "Detected"), ("blocked", "Blocked"), ("not_blocked", "Not blocked"))
KIND_NAMES: Final = {kind: kind.replace("_", " ").capitalize() for kind in policy.KINDS}


def _environments() -> Iterable[Option]:
    return [(str(pk), name) for pk, name in Environment.objects.order_by("name").values_list("pk", "name")[:MOST]]


def _clusters() -> Iterable[Option]:
    return [(str(pk), name) for pk, name in Cluster.objects.order_by("name").values_list("pk", "name")[:MOST]]


def _rules() -> Iterable[Option]:
    latest = PolicyVersion.objects.order_by("-number").first()
    rules = latest.document["rules"][:MOST] if latest else []
    return [*((rule["id"], rule["name"]) for rule in rules), (policy.DEFAULT_RULE, "Default binary drift rule")]


def people() -> list[tuple[int, str]]:
    """(Number, name) of everybody who may triage."""
    triage = [role for role in Role if role.includes(Role.OPERATOR)]
    found = User.objects.filter(is_active=True, role__in=triage).order_by("name")
    return list(found.values_list("pk", "name")[:MOST])


def _assignees() -> Iterable[Option]:
    return [("me", "Me"), ("none", "Nobody"), *((str(pk), name) for pk, name in people())]


OPTIONS: Final[dict[str, Callable[[], Iterable[Option]]]] = {
    "environment": _environments,
    "status": lambda: Status.choices,
    "severity": lambda: [*Severity.choices, ("medium", "Medium"), ("low", "Low")],
    "provider": lambda: Provider.choices,
    "cluster": _clusters,
    "rule": _rules,
    "kind": KIND_NAMES.items,
    "outcome": lambda: OUTCOMES,
    "assignee": _assignees,
    "mentions": lambda: [("me", "Me")],
    "sample": lambda: [("yes", "Only sample alerts"), ("no", "No sample alerts")],
}
"""Fields that are chosen from a list; the others take a text."""
SUGGESTED: Final = {"image": "image_name", "namespace": "namespace"}
"""Of those that take a text: the property whose values are suggested, as the rule panel does."""


@dataclass(frozen=True)
class Pill:
    """One field: its words, its choices (None: a text is typed), and the query string without it."""

    name: str
    label: str
    text: str
    chosen: tuple[str, ...]
    options: list[Option] | None
    suggested: str
    hidden: list[tuple[str, str]]
    removed: Filters | None
    open: bool


def pills(filters: Filters, adding: str = "") -> list[Pill]:
    """The three that always show, then what else is filtered by, then the one that is being added, open."""
    names = [*ALWAYS, *(name for name in filters.values if name not in ALWAYS)]
    if adding in ADDABLE and adding not in names:
        names.append(adding)
    return [_pill(filters, name, adding) for name in names]


def _pill(filters: Filters, name: str, adding: str) -> Pill:
    chosen = filters.statuses if name == "status" else filters.values.get(name, ())
    options = list(OPTIONS[name]()) if name in OPTIONS else None
    removable = bool(chosen) and not (name == "status" and len(chosen) == len(Status))
    return Pill(
        name,
        FIELDS[name].label,
        _words(name, chosen, options),
        chosen,
        options,
        SUGGESTED.get(name, ""),
        filters.pairs(leave_out=name),
        filters.without(name) if removable else None,
        name == adding,
    )


def _words(name: str, chosen: tuple[str, ...], options: list[Option] | None) -> str:
    if not chosen or (name == "status" and len(chosen) == len(Status)):
        return "All"
    names = dict(options or ())
    if name == "binary":
        names = {str(pk): path for pk, path in Binary.objects.filter(pk__in=chosen).values_list("pk", "path")}
    return ", ".join(names.get(value, value) or "None" for value in chosen)


def addable(filters: Filters) -> list[Option]:
    """What "Add filter" offers."""
    return [(name, FIELDS[name].label) for name in ADDABLE if name not in filters.values]
