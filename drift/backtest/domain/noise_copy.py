"""Put a plan's rules into a draft that may have changed otherwise."""

from __future__ import annotations

from collections.abc import Sequence

from drift.policy.domain.edits import Document, Rule, checked, free_name


def with_planned_rules(document: Document, rules: Sequence[Rule], order: Sequence[str]) -> Document:
    """Return the document with the rules that it lacks, each above the rules that follow it in the plan's `order`.

    A name that is taken becomes that of a copy. Raises DocumentInvalid, as where there are too many rules.
    """
    placed = list(document["rules"])
    present = {rule["id"] for rule in placed}
    taken = {rule["name"].casefold() for rule in placed}
    for rule in rules:
        if rule["id"] in present:
            continue
        name = rule["name"] if rule["name"].casefold() not in taken else free_name(rule["name"], taken)
        taken.add(name.casefold())
        below = set(order[order.index(rule["id"]) + 1 :])
        place = next((number for number, each in enumerate(placed) if each["id"] in below), len(placed))
        placed.insert(place, {**rule, "name": name})
        present.add(rule["id"])
    return checked({**document, "rules": placed})
