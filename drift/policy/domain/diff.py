"""The diff between two policy documents, by rule and field."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import Any

from drift.policy.domain.edits import Document, Rule, field_value
from sensor.policy import DEFAULT_RULE

ADDED, REMOVED, CHANGED, MOVED = "added", "removed", "changed", "moved"
DEFAULT_NAME = "Default binary drift rule"
DETECT_NAME = "Detection kinds"


@dataclass(frozen=True)
class FieldChange:
    """The change of one field; `before` and `after` are JSON values."""

    field: str
    before: Any
    after: Any


@dataclass(frozen=True)
class Change:
    """One entry of a diff.

    `kind` is added, removed, changed or moved. `rule` is the rule's id, "default", or "" for the detection kinds;
    `name` is the rule's name. A rule that was both moved and changed has two entries.
    """

    kind: str
    rule: str
    name: str
    fields: tuple[FieldChange, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return the entry for the API and the audit log."""
        fields = {change.field: {"before": change.before, "after": change.after} for change in self.fields}
        return {"kind": self.kind, "rule": self.rule, "name": self.name, "fields": fields}


def diff(before: Document, after: Document) -> list[Change]:
    """Return every change from one normalised document to another.

    As few rules as possible are reported as moved: the others kept their relative order.
    """
    old = {rule["id"]: rule for rule in before["rules"]}
    new = {rule["id"]: rule for rule in after["rules"]}
    changes = [Change(REMOVED, rule_id, rule["name"]) for rule_id, rule in old.items() if rule_id not in new]
    moved = _moved([rule_id for rule_id in old if rule_id in new], [rule_id for rule_id in new if rule_id in old])
    for rule_id, rule in new.items():
        changes += _rule_changes(old.get(rule_id), rule, moved=rule_id in moved)
    changes += _document_change(DEFAULT_RULE, DEFAULT_NAME, before["default"], after["default"])
    kinds = [{"detect": document["detect"]} for document in (before, after)]
    changes += _document_change("", DETECT_NAME, *kinds)
    return changes


def added_twice(base: Document, theirs: Document, yours: Document) -> list[Change]:
    """Return the changes from `theirs` to `yours` in rules that both sides added under the same id.

    Rules in a file have ids, so two users can import the same file and change its rules differently.
    """
    known = {rule["id"] for rule in base["rules"]}
    added = {rule["id"]: rule for rule in theirs["rules"] if rule["id"] not in known}
    both = [(added[rule["id"]], rule) for rule in yours["rules"] if rule["id"] in added]
    return [change for their, your in both for change in _rule_changes(their, your, moved=False)]


def _rule_changes(old: Rule | None, new: Rule, *, moved: bool) -> list[Change]:
    if old is None:
        return [Change(ADDED, new["id"], new["name"])]
    changes = [Change(MOVED, new["id"], new["name"])] if moved else []
    return [*changes, *_document_change(new["id"], new["name"], old, new)]


def _document_change(rule: str, name: str, old: dict[str, Any], new: dict[str, Any]) -> list[Change]:
    values = [(key, field_value(old, key), field_value(new, key)) for key in dict.fromkeys((*new, *old))]
    fields = tuple(FieldChange(key, before, after) for key, before, after in values if before != after)
    return [Change(CHANGED, rule, name, fields)] if fields else []


def _moved(before: list[str], after: list[str]) -> set[str]:
    """Return the fewest ids whose moves explain the new order: all but a longest increasing subsequence."""
    place = {rule_id: index for index, rule_id in enumerate(before)}
    # Patience sorting, O(n log n): a thousand rules are compared after every change. `tails[n]` is the smallest old
    # place at which an increasing run of n + 1 rules can end, `ends[n]` the rule there.
    tails: list[int] = []
    ends: list[str] = []
    previous: dict[str, str | None] = {}
    for rule_id in after:
        length = bisect_left(tails, place[rule_id])
        previous[rule_id] = ends[length - 1] if length else None
        tails[length:], ends[length:] = (
            [place[rule_id], *tails[length + 1 :]],
            [rule_id, *ends[length + 1 :]],
        )
    kept: set[str] = set()
    step = ends[-1] if ends else None
    while step is not None:
        kept.add(step)
        step = previous[step]
    return set(after) - kept
