"""What the policy page shows: rows, and a diff in words."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final
from urllib.parse import quote

from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

from drift.policy.domain.diff import ADDED, CHANGED, DEFAULT_NAME, MOVED, REMOVED, Change, FieldChange
from drift.policy.domain.edits import Document, Rule
from sensor.policy import DEFAULT_RULE, PROVIDERS, cloud_scope_summary, describe_action
from sensor.policy.descriptions import ACTION_LABELS, OPERATOR_LABELS, PROPERTY_LABELS

ALL_CLOUDS = cloud_scope_summary([{"provider": provider} for provider in PROVIDERS])


@dataclass(frozen=True)
class Row:
    """One line of the list."""

    id: str
    priority: int = field(compare=False)
    name: str
    action: str
    cloud_scope: str
    scope_description: str
    enabled: bool = True
    expires_at: str | None = None

    @property
    def search(self) -> str:
        """What the search box looks at: rule name and scope name, in lower case."""
        return f"{self.name}\n{self.scope_description}\n{self.cloud_scope}".lower()

    @property
    def is_default(self) -> bool:
        return self.id == DEFAULT_RULE


def rows_of(document: Document, query: str = "") -> list[Row]:
    """The list in priority order, the default rule last; with a query only what it finds."""
    rows = [_row(place, rule) for place, rule in enumerate(document["rules"], start=1)]
    rows.append(_default_row(document))
    wanted = query.strip().lower()
    return [row for row in rows if wanted in row.search]


# Spelled out here and not in a template: there a thousand rows cost a third of a second. Few elements a row, for the
# browser lays out every one.
_LINE: Final = (
    '<tr class="{kind}" data-id="{id}">'
    '<td class="select"><input type="checkbox"{choice} aria-label="Select {name}"></td>'
    '<td class="grip">{handle}</td><td class="priority">{place}</td>'
    '<td class="name"><a id="open-{id}" href="{link}" data-panel>{name}</a>{badges}</td>'
    "<td>{action}</td><td>{cloud}</td><td>{description}</td>"
    '<td class="hits"></td><td class="matched"></td></tr>\n'
)
_PLACE: Final = "\0"
"""Stands for the priority: no text of a rule holds a NUL."""
_CHOICE: Final = ' name="rule" value="{}"'
_HANDLE: Final = (
    '<button type="button" class="handle" aria-label="Move {}" aria-keyshortcuts="Alt+ArrowUp Alt+ArrowDown"></button>'
)


def row_lines(rows: Iterable[Row], *, can_edit: bool) -> SafeString:
    """The rows as HTML; hits and last match are filled in by the page's script."""
    link = reverse("policy:rule")
    parts = ((_around_place(row, link, can_edit), row.priority) for row in rows)
    return mark_safe("".join(f"{before}{place}{after}" for (before, after), place in parts))  # noqa: S308 - safe lines


@lru_cache(maxsize=4_096)
def _around_place(row: Row, link: str, can_edit: bool) -> tuple[str, str]:  # noqa: FBT001
    """The row's HTML before and after its priority, which alone differs after a move."""
    is_rule = not row.is_default
    before, _, after = format_html(
        _LINE,
        kind="rule" if is_rule else "default",
        id=row.id,
        choice=format_html(_CHOICE, row.id) if is_rule else "",
        name=row.name,
        handle=format_html(_HANDLE, row.name) if is_rule and can_edit else "",
        place=_PLACE,
        link=f"{link}?rule={quote(row.id, safe='')}",
        badges=_badges(row),
        action=row.action,
        cloud=row.cloud_scope,
        description=row.scope_description,
    ).partition(_PLACE)
    return before, after


def _badges(row: Row) -> SafeString | str:
    if not row.enabled:
        return mark_safe(' <span class="badge">Disabled</span>')
    if row.expires_at:
        return format_html(' <span class="badge warning">Until {}</span>', row.expires_at[:10])
    return ""


def _row(place: int, rule: Rule) -> Row:
    return Row(
        rule["id"],
        place,
        rule["name"],
        describe_action(rule),
        cloud_scope_summary(rule["cloud_scope"]),
        rule["scope_description"],
        rule["enabled"],
        rule["expires_at"],
    )


def _default_row(document: Document) -> Row:
    action = ACTION_LABELS[document["default"]["action"]]
    return Row(DEFAULT_RULE, len(document["rules"]) + 1, DEFAULT_NAME, action, ALL_CLOUDS, "All resources")


KIND_LABELS = {ADDED: "Added", REMOVED: "Removed", CHANGED: "Changed", MOVED: "Moved"}
FIELD_LABELS = {
    "name": "Rule name",
    "action": "Action",
    "scope_description": "Scope description",
    "cloud_scope": "Cloud scope",
    "resource_scope": "Resource scope",
    "process_scope": "Process scope",
    "allow_list": "Allow list",
    "enabled": "Enabled",
    "unlisted": "Processes not on the list",
    "expires_at": "Expires",
    "note": "Note",
    "detect": "Detection kinds",
}


@dataclass(frozen=True)
class FieldLine:
    """One field's change in words."""

    label: str
    before: str
    after: str


@dataclass(frozen=True)
class ChangeLine:
    """One change in words."""

    kind: str
    name: str
    fields: list[FieldLine]


def change_lines(changes: Iterable[Change]) -> list[ChangeLine]:
    """A diff as the page shows it."""
    return [ChangeLine(KIND_LABELS[each.kind], each.name, [_field(one) for one in each.fields]) for each in changes]


def _field(change: FieldChange) -> FieldLine:
    words = _WORDS.get(change.field, _plain)
    return FieldLine(FIELD_LABELS.get(change.field, change.field), words(change.before), words(change.after))


WHOLE: Final = {ADDED: ("Rule", "–", "added"), REMOVED: ("Rule", "there", "deleted"), MOVED: ("Place", "", "moved")}
"""What a change of a rule as a whole is about, how it was, and how it is."""
Place = tuple[str, str]
"""A rule's id, and what of it."""


@dataclass(frozen=True)
class ThreeWays:
    """One thing that two sides may have changed: how it was, and on each side how it is, "" where it was left alone."""

    name: str
    label: str
    base: str
    theirs: str
    yours: str

    @property
    def is_clash(self) -> bool:
        """Whether both changed it, each in its own way."""
        return bool(self.theirs and self.yours) and self.theirs != self.yours


def three_ways(theirs: Iterable[Change], yours: Iterable[Change], twice: Iterable[Change] = ()) -> list[ThreeWays]:
    """Two diffs from the same base beside each other, rule by rule; `twice`: of rules that both added, what differs."""
    left, right = _cells(theirs), _cells(yours)
    for place, (name, their, your) in _cells(twice).items():
        left[place], right[place] = (name, "–", their), (name, "–", your)
    _note_deleted(left, right)
    _note_deleted(right, left)
    rules: dict[str, list[Place]] = {}
    for place in dict.fromkeys([*left, *right]):
        rules.setdefault(place[0], []).append(place)
    return [_three(place, left.get(place), right.get(place)) for places in rules.values() for place in places]


def _cells(changes: Iterable[Change]) -> dict[Place, tuple[str, str, str]]:
    """By place: the rule's name, before, after."""
    cells: dict[Place, tuple[str, str, str]] = {}
    for change in changes:
        lines = [_field(one) for one in change.fields] if change.kind == CHANGED else [FieldLine(*WHOLE[change.kind])]
        cells |= {(change.rule, line.label): (change.name, line.before, line.after) for line in lines}
    return cells


def _note_deleted(one: dict[Place, tuple[str, str, str]], other: dict[Place, tuple[str, str, str]]) -> None:
    """Where one side deleted a rule that the other changed, say so beside the deletion."""
    label, before, after = WHOLE[REMOVED]
    changed = {rule: name for (rule, of), (name, _, _) in other.items() if of != label}
    for (rule, of), (_, _, is_now) in list(one.items()):
        if (of, is_now) == (label, after) and rule in changed:
            other[rule, label] = (changed[rule], before, "changed")


def _three(place: Place, theirs: tuple[str, str, str] | None, yours: tuple[str, str, str] | None) -> ThreeWays:
    name, before, _ = theirs or yours or ("", "", "")
    return ThreeWays(name, place[1], before, theirs[2] if theirs else "", yours[2] if yours else "")


def _plain(value: Any) -> str:
    if value in (None, "", []):
        return "none"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _list(value: list[str]) -> str:
    return ", ".join(value) or "none"


def _cloud(value: list[dict[str, Any]]) -> str:
    """Account by account, for a summary would hide that one was swapped for another."""
    parts = [each["provider"] + (f": {', '.join(each['accounts'])}" if "accounts" in each else "") for each in value]
    return "; ".join(parts)


def _conditions(value: list[dict[str, Any]]) -> str:
    return " and ".join(_condition(each) for each in value) or "none"


def _condition(condition: dict[str, Any]) -> str:
    values = [f"{OPERATOR_LABELS[each['operator']].lower()} “{each['value']}”" for each in condition["any_of"]]
    return f"{PROPERTY_LABELS[condition['property']]} {' or '.join(values)}"


_WORDS: dict[str, Callable[[Any], str]] = {
    "action": lambda value: ACTION_LABELS[value],
    "allow_list": _list,
    "detect": _list,
    "cloud_scope": _cloud,
    "resource_scope": _conditions,
    "process_scope": _conditions,
    "enabled": lambda value: "yes" if value else "no",
    "unlisted": lambda value: "next rule" if value == "next_rule" else "decide",
}
