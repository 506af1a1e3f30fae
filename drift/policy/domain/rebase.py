"""Somebody saved meanwhile: one user's changes put on top of the version that they did not know.

A three-way merge by rule and field. Where both sides changed the same field in different ways, the
user's own change is kept and named, so that nothing is lost or overruled in silence.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from drift.policy.domain.diff import ADDED, DEFAULT_NAME, DETECT_NAME, MOVED, diff
from drift.policy.domain.edits import Document, Rule, free_name

ADDED_TWICE: Final = object()
"""What a field was before both sides added its rule: equal to nothing that either gave it."""


@dataclass(frozen=True)
class Clash:
    """Where both sides wanted different things, and what was done: `name` of the rule, and a sentence."""

    name: str
    outcome: str


def rebase(base: Document, yours: Document, theirs: Document) -> tuple[Document, list[Clash]]:
    """`theirs` with the changes from `base` to `yours`. All three are normalised.

    The result may still break a limit (too many rules): the caller checks it.
    """
    clashes: list[Clash] = []
    merged = _merge_rules(_by_id(base), _by_id(yours), _by_id(theirs), clashes)
    order = _order(base, yours, theirs, merged)
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
    start = base or dict.fromkeys(theirs, ADDED_TWICE)
    return {
        key: _field((start[key], yours[key], theirs[key]), yours["name"], clashes, key.replace("_", " "))
        for key in theirs
    }


def _one_sided(base: Rule | None, yours: Rule | None, theirs: Rule | None, clashes: list[Clash]) -> Rule | None:
    """A rule that one side does not have: new on the other, or deleted here while the other may have changed it."""
    left = yours or theirs
    if base is None or left is None:
        return left
    if left == base:
        return None
    said = "deleted meanwhile: kept with your changes" if yours else "changed meanwhile: not deleted"
    clashes.append(Clash(left["name"], said))
    return left


def _field(sides: tuple[Any, Any, Any], name: str, clashes: list[Clash], field: str = "") -> Any:
    base, yours, theirs = sides
    if yours in (base, theirs):
        return theirs
    if theirs != base:
        clashes.append(Clash(name, f"{field} also changed meanwhile: yours is kept".strip()))
    return yours


def _order(base: Document, yours: Document, theirs: Document, merged: dict[str, Rule]) -> list[str]:
    """Their order; what the user moved or added goes below the rule that it stands below in yours."""
    placed = {change.rule for change in diff(base, yours) if change.kind in (ADDED, MOVED)}
    order = [rule["id"] for rule in theirs["rules"] if rule["id"] in merged and rule["id"] not in placed]
    wanted = [rule["id"] for rule in yours["rules"] if rule["id"] in merged]
    for place, rule_id in enumerate(wanted):
        if rule_id in order:
            continue
        if place:
            order.insert(order.index(wanted[place - 1]) + 1, rule_id)
        else:
            below = next((each for each in wanted if each in order), None)
            order.insert(order.index(below) if below else len(order), rule_id)
    return order


def _with_free_names(rules: list[Rule], theirs: dict[str, Rule], clashes: list[Clash]) -> list[Rule]:
    """Both sides may have given the same name to different rules: the user's gets another."""
    taken = {rule["name"].casefold() for rule in rules if _is_theirs(rule, theirs)}
    named = []
    for rule in rules:
        if not _is_theirs(rule, theirs) and rule["name"].casefold() in taken:
            clashes.append(Clash(rule["name"], "the name was taken meanwhile: yours is a copy of it now"))
            named.append({**rule, "name": free_name(rule["name"], taken)})
        else:
            taken.add(rule["name"].casefold())
            named.append(rule)
    return named


def _is_theirs(rule: Rule, theirs: dict[str, Rule]) -> bool:
    return rule["id"] in theirs and theirs[rule["id"]]["name"] == rule["name"]
