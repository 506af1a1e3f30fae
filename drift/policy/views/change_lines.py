"""Diffs in words: the changes of one draft or version, and two sides' changes beside each other."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from django.http import HttpRequest

from drift.policy.domain.diff import ADDED, CHANGED, MOVED, REMOVED, Change, FieldChange
from drift.policy.domain.edits import Document, Rule
from drift.policy.domain.rule_changes import DETECT, RuleChange, pair_digest, rule_changes
from sensor.names.visible_text import visible_text
from sensor.policy import DEFAULT_RULE, describe_rule
from sensor.policy.descriptions import ACTION_LABELS, OPERATOR_LABELS, PROPERTY_LABELS
from sensor.policy.drift_kinds import DRIFT_KINDS

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
    "unlisted": "Processes not on the allow list",
    "expires_at": "Expires",
    "severity": "Severity",
    "dry_run": "Only record what would be blocked",
    "note": "Note",
    "detect": "Detection kinds",
}

DETAILED: Final = 100
"""How many rules a page shows in full at first."""


@dataclass(frozen=True)
class FieldLine:
    """The change of one field in words."""

    label: str
    before: str
    after: str


@dataclass(frozen=True)
class ChangeLine:
    """What changed of one rule in words: `sentence` is what the rule does now, or did where it was deleted."""

    kinds: list[str]
    name: str
    fields: list[FieldLine]
    sentence: str
    was: str
    """What the rule did before, where that is not what it does now; else ""."""
    moved: tuple[int, int] | None
    place: int | None


@dataclass(frozen=True)
class ChangeLines:
    """The lines of a change; those of `brief` rules only have name, kinds and places.

    `shown` names the pair of documents: what a page loads later is known by it to be of the same pair.
    """

    lines: list[ChangeLine]
    brief: int
    shown: str

    def __iter__(self) -> Iterator[ChangeLine]:
        return iter(self.lines)

    def __len__(self) -> int:
        return len(self.lines)


def change_lines(before: Document, after: Document, most: int | None = DETAILED) -> ChangeLines:
    """Return the difference of two documents as the pages show it, one entry per rule.

    Only the first `most` rules have sentence and fields, since lists of a thousand would be megabytes. The default rule
    and the detection kinds always have theirs.
    """
    changes = rule_changes(before, after)
    lines = [
        _change_line(each, before, after) if most is None or place < most or _is_document(each) else _brief_line(each)
        for place, each in enumerate(changes)
    ]
    return ChangeLines(lines, sum(not line.sentence for line in lines), pair_digest(before, after))


def shown_rules(request: HttpRequest) -> int | None:
    """Return how many rules a page shows in full: with `?all=1` every one."""
    return None if "all" in request.GET else DETAILED


def _is_document(change: RuleChange) -> bool:
    return change.rule in (DETECT, DEFAULT_RULE)


def _brief_line(change: RuleChange) -> ChangeLine:
    kinds = [KIND_LABELS[kind] for kind in change.kinds]
    return ChangeLine(kinds, _visible(change.name), [], "", "", change.moved, change.place)


def _change_line(change: RuleChange, before: Document, after: Document) -> ChangeLine:
    has_two = CHANGED in change.kinds and ((change.before and change.after) or _is_document(change))
    was = _sentence(change, before, change.before) if has_two else ""
    sentence = _sentence(change, after, change.after or change.before)
    return ChangeLine(
        [KIND_LABELS[kind] for kind in change.kinds],
        _visible(change.name),
        [_field_line(one) for one in change.fields],
        sentence,
        was if was != sentence else "",
        change.moved,
        change.place,
    )


def _sentence(change: RuleChange, document: Document, rule: Rule | None) -> str:
    if change.rule == DETECT:
        return describe_detection(document["detect"])
    if change.rule == DEFAULT_RULE:
        return describe_default(document["default"])
    return _visible(describe_rule(rule)) if rule else ""


def describe_default(rule: Rule) -> str:
    """Return what the default rule does, in a sentence."""
    return f"Drift that no rule above decides {_DEFAULT_VERBS['dry_run' if rule.get('dry_run') else rule['action']]}."


def describe_detection(kinds: list[str]) -> str:
    """Return what sensors report, in a sentence."""
    if not kinds:
        return "Sensors report and block no drift at all."
    labels = [kind.label.lower() for kind in DRIFT_KINDS if kind.name in kinds]
    return f"Sensors report these kinds of drift: {', '.join(labels)}."


_DEFAULT_VERBS: Final = {
    "alert": "raises an alert",
    "block": "is blocked and raises an alert, in every container",
    "dry_run": "raises an alert, which records that it would be blocked",
    "ignore": "is ignored: it is counted, and raises no alert",
}


def _field_line(change: FieldChange) -> FieldLine:
    label, words = FIELD_LABELS.get(change.field, change.field), _WORDS.get(change.field, _plain)
    before, after = _visible(words(change.before)), _visible(words(change.after))
    if before == after:
        # The words of a list of "a" and "b" are those of "a, b": what changed must be seen.
        before, after = (_visible(json.dumps(each, ensure_ascii=False)) for each in (change.before, change.after))
    return FieldLine(label, before, after)


def _visible(text: str) -> str:
    """Return the text with its characters that nobody sees, and blanks of other kinds, as escapes; notes keep lines."""
    return "\n".join(visible_text(line) for line in text.split("\n"))


WHOLE: Final = {ADDED: ("Rule", "–", "added"), REMOVED: ("Rule", "there", "deleted"), MOVED: ("Place", "", "moved")}
"""Label, before and after where a whole rule was added, removed or moved."""
Key = tuple[str, str]
"""A rule's id, and the label of the field."""
Cell = tuple[str, str, str]
"""The rule's name, before, after."""


@dataclass(frozen=True)
class ThreeWays:
    """One field that either side changed: its value in the base and on each side, "" where a side left it alone."""

    name: str
    label: str
    base: str
    theirs: str
    yours: str

    @property
    def is_clash(self) -> bool:
        """Whether both sides changed it to different values."""
        return bool(self.theirs and self.yours) and self.theirs != self.yours


def three_ways(theirs: Iterable[Change], yours: Iterable[Change], twice: Iterable[Change] = ()) -> list[ThreeWays]:
    """Return two diffs from the same base side by side, grouped by rule.

    `twice` is the diff between the two versions of rules that both sides added under one id.
    """
    left, right = _cells(theirs), _cells(yours)
    for key, (name, their, your) in _cells(twice).items():
        left[key], right[key] = (name, "–", their), (name, "–", your)
    _note_deletions(left, right)
    _note_deletions(right, left)
    keys_by_rule: dict[str, list[Key]] = {}
    for key in dict.fromkeys([*left, *right]):
        keys_by_rule.setdefault(key[0], []).append(key)
    return [_three(key, left.get(key), right.get(key)) for keys in keys_by_rule.values() for key in keys]


def _cells(changes: Iterable[Change]) -> dict[Key, Cell]:
    cells: dict[Key, Cell] = {}
    for change in changes:
        is_whole = change.kind != CHANGED
        lines = [FieldLine(*WHOLE[change.kind])] if is_whole else [_field_line(one) for one in change.fields]
        cells |= {(change.rule, line.label): (change.name, line.before, line.after) for line in lines}
    return cells


def _note_deletions(one: dict[Key, Cell], other: dict[Key, Cell]) -> None:
    """Where one side deleted a rule that the other changed, add "changed" on the other side of the deletion."""
    label, before, after = WHOLE[REMOVED]
    changed = {rule: name for (rule, field), (name, _, _) in other.items() if field != label}
    for (rule, field), (_, _, is_now) in list(one.items()):
        if (field, is_now) == (label, after) and rule in changed:
            other[rule, label] = (changed[rule], before, "changed")


def _three(key: Key, theirs: Cell | None, yours: Cell | None) -> ThreeWays:
    name, before, _ = theirs or yours or ("", "", "")
    return ThreeWays(name, key[1], before, theirs[2] if theirs else "", yours[2] if yours else "")


def _plain(value: Any) -> str:
    if value in (None, "", []):
        return "none"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _list(value: list[str]) -> str:
    return ", ".join(value) or "none"


def _cloud(value: list[dict[str, Any]]) -> str:
    """List every account: a summary would hide that one was replaced by another."""
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
    "detect": lambda value: ", ".join(each.label for each in DRIFT_KINDS if each.name in value) or "none",
    "cloud_scope": _cloud,
    "resource_scope": _conditions,
    "process_scope": _conditions,
    "enabled": lambda value: "yes" if value else "no",
    "severity": lambda value: value.capitalize(),
    "dry_run": lambda value: "yes" if value else "no",
    "unlisted": lambda value: "next rule" if value == "next_rule" else "decide",
}
