"""The changes between two documents, one entry for each rule, with the place where it was and is."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

from drift.policy.domain.diff import ADDED, CHANGED, MOVED, REMOVED, Change, FieldChange, diff
from drift.policy.domain.edits import Document, Rule
from sensor.policy import DEFAULT_RULE, digest

DETECT: Final = ""
"""In place of a rule's id: the detection kinds."""


@dataclass(frozen=True)
class RuleChange:
    """What changed of one rule, of the default rule (`rule` "default"), or of the detection kinds (`rule` "").

    `kinds` are those of a diff; `before` and `after` the whole rule, None where that side does not have it;
    `moved` its priorities on both sides where it was moved, `place` the one that it has or had.
    """

    rule: str
    name: str
    kinds: tuple[str, ...]
    fields: tuple[FieldChange, ...] = ()
    before: Rule | None = None
    after: Rule | None = None
    moved: tuple[int, int] | None = None
    place: int | None = None


def rule_changes(before: Document, after: Document) -> list[RuleChange]:
    """Return the changes by rule, in the order of a diff."""
    by_rule: dict[str, list[Change]] = {}
    for change in diff(before, after):
        by_rule.setdefault(change.rule, []).append(change)
    old, new = _places(before), _places(after)
    return [_rule_change(changes, old, new) for changes in by_rule.values()]


def pair_digest(before: Document, after: Document) -> str:
    """Return a short name of two documents in this order; other documents have another."""
    return hashlib.sha256(f"{digest(before)} {digest(after)}".encode()).hexdigest()[:16]


def _places(document: Document) -> dict[str, tuple[int, Rule]]:
    return {rule["id"]: (place, rule) for place, rule in enumerate(document["rules"], start=1)}


def _rule_change(
    changes: list[Change], old: dict[str, tuple[int, Rule]], new: dict[str, tuple[int, Rule]]
) -> RuleChange:
    rule = changes[0].rule
    was, has = old.get(rule), new.get(rule)
    kinds = tuple(change.kind for change in changes)
    fields = tuple(field for change in changes for field in change.fields)
    place = has or was
    return RuleChange(
        rule,
        changes[-1].name,
        kinds,
        fields,
        before=was[1] if was else None,
        after=has[1] if has else None,
        moved=(was[0], has[0]) if MOVED in kinds and was and has else None,
        place=place[0] if place else None,
    )


def summary(changes: list[RuleChange], limit: int = 5) -> str:
    """Return the changes in one sentence: `added A at priority 3, changed B`; "" without any."""
    words = [_words(change) for change in changes[:limit]]
    if len(changes) > limit:
        words.append(f"{len(changes) - limit} more")
    return ", ".join(words)


def _words(change: RuleChange) -> str:
    if change.rule in (DETECT, DEFAULT_RULE):
        return f"changed {change.name[0].lower()}{change.name[1:]}"
    if ADDED in change.kinds:
        return f"added {change.name} at priority {change.place}"
    if REMOVED in change.kinds:
        return f"deleted {change.name}"
    moved = _move_words(change.name, *change.moved) if change.moved else ""
    return " and ".join(filter(None, [moved, f"changed {change.name}" if CHANGED in change.kinds else ""]))


def _move_words(name: str, before: int, after: int) -> str:
    """Return the words of a move; among others that moved, a rule may have the priority that it had."""
    return f"moved {name} at priority {after}" if before == after else f"moved {name} from priority {before} to {after}"
