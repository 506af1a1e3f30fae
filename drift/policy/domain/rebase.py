"""Reapply a user's changes to a version that was saved since they started.

A three-way merge by rule and field. Where both sides changed the same field differently, the user's change is kept and
reported, so that no change is lost or overruled unnoticed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from drift.policy.domain.diff import ADDED, DEFAULT_NAME, DETECT_NAME, MOVED, diff
from drift.policy.domain.edits import LEFT_OUT, Document, Rule, field_value, free_name

ADDED_TWICE: Final = object()
"""The base value of the fields of a rule that both sides added: equal to no value."""


@dataclass(frozen=True)
class Clash:
    """A conflict between both sides: the `name` of the rule, and a sentence that says how it was resolved."""

    name: str
    outcome: str


def rebase(base: Document, yours: Document, theirs: Document) -> tuple[Document, list[Clash]]:
    """Return `theirs` with the changes from `base` to `yours`, and the conflicts. All three are normalised.

    The result may break a limit (too many rules): the caller checks it.
    """
    clashes: list[Clash] = []
    merged = _merge_rules(_by_id(base), _by_id(yours), _by_id(theirs), clashes)
    order = _order(base, yours, theirs, merged, clashes)
    default, detect = (
        _field((base[key], yours[key], theirs[key]), name, clashes)
        for key, name in (("default", DEFAULT_NAME), ("detect", DETECT_NAME))
    )
    rules = _with_free_names([merged[rule_id] for rule_id in order], _by_id(theirs), clashes)
    return {**theirs, "detect": detect, "rules": rules, "default": default}, clashes


def _by_id(document: Document) -> dict[str, Rule]:
    return {rule["id"]: rule for rule in document["rules"]}


def _merge_rules(
    base: dict[str, Rule], yours: dict[str, Rule], theirs: dict[str, Rule], clashes: list[Clash]
) -> dict[str, Rule]:
    merged = {}
    for rule_id in theirs | yours:
        rule = _merge_rule(base.get(rule_id), yours.get(rule_id), theirs.get(rule_id), clashes)
        if rule is not None:
            merged[rule_id] = rule
    return merged


def _merge_rule(base: Rule | None, yours: Rule | None, theirs: Rule | None, clashes: list[Clash]) -> Rule | None:
    if yours is None or theirs is None:
        return _one_sided(base, yours, theirs, clashes)
    merged = {}
    for key in dict.fromkeys((*theirs, *yours)):
        start = field_value(base, key) if base else ADDED_TWICE
        sides = (start, field_value(yours, key), field_value(theirs, key))
        merged[key] = _field(sides, yours["name"], clashes, key.replace("_", " "))
    if merged["action"] != "block":
        merged.pop("dry_run", None)
    return {key: value for key, value in merged.items() if key not in LEFT_OUT or value != LEFT_OUT[key]}


def _one_sided(base: Rule | None, yours: Rule | None, theirs: Rule | None, clashes: list[Clash]) -> Rule | None:
    """Merge a rule that only one side has: the other deleted it, or this one added it."""
    left = yours or theirs
    if base is None or left is None:
        return left
    if left == base:
        return None
    outcome = "deleted since: kept with your changes" if yours else "changed since: not deleted"
    clashes.append(Clash(left["name"], outcome))
    return left


def _field(sides: tuple[Any, Any, Any], name: str, clashes: list[Clash], field: str = "") -> Any:
    base, yours, theirs = sides
    if yours in (base, theirs):
        return theirs
    if theirs != base:
        clashes.append(Clash(name, f"{field} also changed since: your change is kept".strip()))
    return yours


def _order(
    base: Document, yours: Document, theirs: Document, merged: dict[str, Rule], clashes: list[Clash]
) -> list[str]:
    """Return their order, with the rules that the user moved or added between their neighbours in the user's order.

    Where several places suit, the user's rule goes below: rules of the other side keep their priority.
    """
    placed = {change.rule for change in diff(base, yours) if change.kind in (ADDED, MOVED)}
    shared = _shared_order(yours, theirs), _shared_order(theirs, yours)
    moved_by_both = {change.rule for change in diff(base, theirs) if change.kind == MOVED} & placed
    clashes += [
        Clash(merged[rule_id]["name"], "also moved since: your place is kept")
        for rule_id in merged
        if rule_id in moved_by_both and shared[0] != shared[1]
    ]
    order = [rule["id"] for rule in theirs["rules"] if rule["id"] in merged and rule["id"] not in placed]
    wanted = [rule["id"] for rule in yours["rules"] if rule["id"] in merged]
    rank = {rule_id: place for place, rule_id in enumerate(wanted)}
    for rule_id in wanted:
        if rule_id in placed or rule_id not in order:
            order.insert(_best_place(order, rank, rank[rule_id]), rule_id)
    return order


def _shared_order(document: Document, other: Document) -> list[str]:
    """Return the order of the rules that both have."""
    others = {rule["id"] for rule in other["rules"]}
    return [rule["id"] for rule in document["rules"] if rule["id"] in others]


def _best_place(order: list[str], rank: dict[str, int], own: int) -> int:
    """Return the lowest place with the most rules on the side of it on which the user has them."""
    best = place = score = 0
    for index, rule_id in enumerate(order, start=1):
        if rule_id in rank:
            score += 1 if rank[rule_id] < own else -1
        if score >= best:
            best, place = score, index
    return place


def _with_free_names(rules: list[Rule], theirs: dict[str, Rule], clashes: list[Clash]) -> list[Rule]:
    """Rename the user's rules whose names the other side has given to different rules."""
    taken = {rule["name"].casefold() for rule in rules if _is_theirs(rule, theirs)}
    named = []
    for rule in rules:
        if not _is_theirs(rule, theirs) and rule["name"].casefold() in taken:
            clashes.append(Clash(rule["name"], "the name has been taken since: your rule was renamed"))
            named.append({**rule, "name": free_name(rule["name"], taken)})
        else:
            taken.add(rule["name"].casefold())
            named.append(rule)
    return named


def _is_theirs(rule: Rule, theirs: dict[str, Rule]) -> bool:
    return rule["id"] in theirs and theirs[rule["id"]]["name"] == rule["name"]
