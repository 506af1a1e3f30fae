"""Edits of a policy document: pure functions that return a new one.

A document is valid and normalised (sensor.policy) before and after an edit; edits that add user input check it. The
order of the rules is the order of their array, so a move only reorders the array.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection, Iterable
from itertools import count
from typing import Any, Final

from drift.policy.errors import DocumentInvalid, OrderMismatch, UnknownRule
from sensor.names.visible_text import hidden_character
from sensor.policy import LIMITS, DocumentError, PolicyInvalid, normalise
from sensor.policy.document_terms import DEFAULT_SEVERITY

Document = dict[str, Any]
Rule = dict[str, Any]
LEFT_OUT: Final[dict[str, Any]] = {"severity": DEFAULT_SEVERITY, "dry_run": False}
"""The fields that a normalised rule leaves out where they have these values, so that older documents keep digests."""
Edit = Callable[[Document], Document]


def checked(document: object) -> Document:
    """Return the normalised document. Raises DocumentInvalid with every error."""
    try:
        return normalise(document)
    except PolicyInvalid as error:
        raise DocumentInvalid(error.errors) from None


def hidden_characters(rules: list[Rule]) -> list[DocumentError]:
    """Return an error for each text of the given rules that has a character which its readers would not see.

    Values of conditions are not texts: a rule may have to match such a file name. Stored rules are not checked, so that
    a document from before can still be edited.
    """
    found = []
    for index, rule in enumerate(rules):
        for field in ("name", "scope_description", "note"):
            hidden = hidden_character(rule.get(field) or "", several_lines=field == "note")
            if hidden:
                message = f"Character {hidden[0] + 1} is not allowed: {hidden[1]}."
                found.append(DocumentError(f"rule {index + 1}", field, message, index))
    return found


def checked_texts(document: object) -> Document:
    """Return the normalised document of a user. Raises DocumentInvalid, for hidden characters in its texts too."""
    normalised = checked(document)
    if errors := hidden_characters(normalised["rules"]):
        raise DocumentInvalid(errors)
    return normalised


def field_value(rule: Rule, field: str) -> Any:
    """Return a field of a normalised rule, which leaves out the default of some."""
    return rule.get(field, LEFT_OUT[field]) if field in LEFT_OUT else rule[field]


def find_rule(document: Document, rule_id: str) -> Rule | None:
    """Return the rule with this id, or None."""
    return next((rule for rule in document["rules"] if rule["id"] == rule_id), None)


def add_rule(rule: Rule) -> Edit:
    """Add `rule` directly above the default rule, with a new id if it has none. Raises DocumentInvalid."""
    new = {**rule, "id": rule.get("id") or str(uuid.uuid4())}
    return lambda document: checked(_with_rules(document, [*document["rules"], new]))


def add_rules(rules: Iterable[Rule]) -> Edit:
    """Add rules without ids directly above the default rule, in their order, except those whose name is taken.

    Raises DocumentInvalid where the document then has too many rules.
    """

    def edit(document: Document) -> Document:
        taken = {rule["name"].casefold() for rule in document["rules"]}
        new = [{**rule, "id": str(uuid.uuid4())} for rule in rules if rule["name"].casefold() not in taken]
        return checked(_with_rules(document, [*document["rules"], *new]))

    return edit


def change_rule(rule_id: str, rule: Rule) -> Edit:
    """Replace the rule with this id by `rule`, which keeps the id. Raises UnknownRule, DocumentInvalid."""

    def edit(document: Document) -> Document:
        _require(document, [rule_id])
        new = {**rule, "id": rule_id}
        return checked(_with_rules(document, [new if old["id"] == rule_id else old for old in document["rules"]]))

    return edit


def put_rule(rule: Rule) -> Edit:
    """Change the rule with this rule's id, or add it where it has none. Raises UnknownRule, DocumentInvalid."""
    return change_rule(rule["id"], rule) if rule["id"] else add_rule(rule)


def with_rule(document: Document, rule: Rule) -> tuple[str, Document]:
    """Return the rule's id and the document as Apply would make them. Raises UnknownRule, DocumentInvalid."""
    edited = put_rule(rule)(document)
    return rule["id"] or edited["rules"][-1]["id"], edited


def duplicate_rules(rule_ids: Collection[str]) -> Edit:
    """Add a copy of each rule directly below it, under a free name.

    Raises UnknownRule, and DocumentInvalid where the document then has too many rules.
    """

    def edit(document: Document) -> Document:
        _require(document, rule_ids)
        taken = {rule["name"].casefold() for rule in document["rules"]}
        rules = []
        for rule in document["rules"]:
            rules.append(rule)
            if rule["id"] in rule_ids:
                rules.append({**rule, "id": str(uuid.uuid4()), "name": free_name(rule["name"], taken)})
        return checked(_with_rules(document, rules))

    return edit


def delete_rules(rule_ids: Collection[str]) -> Edit:
    """Delete these rules. Raises UnknownRule."""

    def edit(document: Document) -> Document:
        _require(document, rule_ids)
        return _with_rules(document, [rule for rule in document["rules"] if rule["id"] not in rule_ids])

    return edit


def set_enabled(rule_ids: Collection[str], *, enabled: bool) -> Edit:
    """Enable or disable these rules. Raises UnknownRule."""

    def edit(document: Document) -> Document:
        _require(document, rule_ids)
        rules = [{**rule, "enabled": enabled} if rule["id"] in rule_ids else rule for rule in document["rules"]]
        return _with_rules(document, rules)

    return edit


def reorder(order: list[str]) -> Edit:
    """Put the rules in this order of ids. Raises OrderMismatch unless it names each exactly once."""

    def edit(document: Document) -> Document:
        rules = {rule["id"]: rule for rule in document["rules"]}
        if len(order) != len(rules) or set(order) != rules.keys():
            raise OrderMismatch
        return _with_rules(document, [rules[rule_id] for rule_id in order])

    return edit


def move_rules(rule_ids: Collection[str], step: int) -> Edit:
    """Move each of these rules one place up (step -1) or down (step 1); rules at the end stay.

    Their relative order does not change. Raises UnknownRule.
    """

    def edit(document: Document) -> Document:
        _require(document, rule_ids)
        order = [rule["id"] for rule in document["rules"]]
        return reorder(_moved(order, rule_ids, step))(document)

    return edit


def move_to_position(rule_ids: Collection[str], position: int) -> Edit:
    """Move these rules together, in their order, so that the first has priority `position`; beyond the end: last.

    Raises UnknownRule.
    """

    def edit(document: Document) -> Document:
        _require(document, rule_ids)
        own, rest = _split(document, rule_ids)
        place = max(0, min(position - 1, len(rest)))
        return reorder([*rest[:place], *own, *rest[place:]])(document)

    return edit


def move_above(rule_ids: Collection[str], other: str) -> Edit:
    """Move these rules together, in their order, directly above the rule `other`, which is none of them.

    Raises UnknownRule.
    """

    def edit(document: Document) -> Document:
        _require(document, [*rule_ids, other])
        own, rest = _split(document, rule_ids)
        if other not in rest:
            raise UnknownRule
        place = rest.index(other)
        return reorder([*rest[:place], *own, *rest[place:]])(document)

    return edit


def _split(document: Document, rule_ids: Collection[str]) -> tuple[list[str], list[str]]:
    """Return the ids of the chosen rules and of the others, each in the document's order."""
    order = [rule["id"] for rule in document["rules"]]
    chosen = set(rule_ids)
    return [each for each in order if each in chosen], [each for each in order if each not in chosen]


def set_default_action(action: str, *, dry_run: bool = False) -> Edit:
    """Set the action of the default rule; `dry_run`: only record what it would block. Raises DocumentInvalid."""
    return lambda document: checked({**document, "default": {"action": action, "dry_run": dry_run}})


def set_detect(kinds: list[str]) -> Edit:
    """Set the kinds of drift that sensors report. Raises DocumentInvalid."""
    return lambda document: checked({**document, "detect": kinds})


def replace_document(document: object) -> Edit:
    """Replace the draft's document by a whole one. Raises DocumentInvalid."""
    return lambda _: checked_texts(document)


def _with_rules(document: Document, rules: list[Rule]) -> Document:
    return {**document, "rules": rules}


def _require(document: Document, rule_ids: Iterable[str]) -> None:
    if not set(rule_ids) <= {rule["id"] for rule in document["rules"]}:
        raise UnknownRule


def free_name(name: str, taken: set[str]) -> str:
    """Return "Copy of NAME", numbered if taken and cut to the maximum length, and add it casefolded to `taken`."""
    for number in count(1):
        suffix = f" ({number})" if number > 1 else ""
        candidate = f"Copy of {name}"[: LIMITS["name"] - len(suffix)] + suffix
        if candidate.casefold() not in taken:
            taken.add(candidate.casefold())
            return candidate
    raise AssertionError


def _moved(order: list[str], rule_ids: Collection[str], step: int) -> list[str]:
    """Swap each chosen id with its neighbour that is not chosen, starting at the end to which they move."""
    row = order[:] if step < 0 else order[::-1]
    for place in range(1, len(row)):
        if row[place] in rule_ids and row[place - 1] not in rule_ids:
            row[place - 1], row[place] = row[place], row[place - 1]
    return row if step < 0 else row[::-1]
