"""The panel's form: from posted fields to a rule, its faults beside their fields, and back.

Names of the builder's fields are `resource_scope.CARD.property` and `resource_scope.CARD.ROW.operator`
or `.value`; CARD and ROW are any keys, their order is that of the fields in the form.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.http import QueryDict

from drift.policy.domain.edits import Document, Rule
from sensor.policy import OPERATORS, PROCESS_PROPERTIES, PROVIDERS, RESOURCE_PROPERTIES, check_rule

SCOPES = {"resource_scope": RESOURCE_PROPERTIES, "process_scope": PROCESS_PROPERTIES}
NEW_ID = "new"


def empty_rule() -> Rule:
    """What the panel starts with when a rule is added."""
    return {
        "id": "",
        "name": "",
        "action": "alert",
        "scope_description": "",
        "cloud_scope": [],
        "resource_scope": [],
        "allow_list": [],
        "enabled": True,
        "unlisted": "decide",
        "process_scope": [],
        "expires_at": None,
        "note": "",
    }


def read_rule(data: QueryDict) -> Rule:
    """The rule as typed, which may have any fault."""
    return {
        "id": data.get("rule_id", ""),
        "name": data.get("name", "").strip(),
        "action": data.get("action", ""),
        "scope_description": data.get("scope_description", "").strip(),
        "cloud_scope": _cloud_scope(data.getlist("scope")),
        "resource_scope": _conditions(data, "resource_scope"),
        "allow_list": [entry for entry in data.getlist("allow_list") if entry],
        "enabled": data.get("enabled") == "on",
        "unlisted": data.get("unlisted", "decide"),
        "process_scope": _conditions(data, "process_scope"),
        "expires_at": _expiry(data.get("expires_at", "")),
        "note": data.get("note", "").replace("\r\n", "\n"),
    }


def _cloud_scope(selected: Iterable[str]) -> list[dict[str, Any]]:
    """From `azure` (all of it) and `azure:ACCOUNT`; a whole provider makes its accounts superfluous."""
    chosen = list(dict.fromkeys(selected))
    scope: list[dict[str, Any]] = []
    for provider in PROVIDERS:
        accounts = [each.partition(":")[2] for each in chosen if each.startswith(f"{provider}:")]
        if provider in chosen:
            scope.append({"provider": provider})
        elif accounts:
            scope.append({"provider": provider, "accounts": accounts})
    return scope


def _conditions(data: QueryDict, scope: str) -> list[dict[str, Any]]:
    cards: dict[str, dict[str, Any]] = {}
    for name in data:
        match name.split("."):
            case [prefix, card, "property"] if prefix == scope:
                cards.setdefault(card, {"rows": {}})["property"] = data[name]
            case [prefix, card, row, ("operator" | "value") as part] if prefix == scope:
                rows = cards.setdefault(card, {"rows": {}})["rows"]
                rows.setdefault(row, {"operator": OPERATORS[0], "value": ""})[part] = data[name]
    return [{"property": card.get("property", ""), "any_of": list(card["rows"].values())} for card in cards.values()]


def _expiry(text: str) -> str | None:
    """From a datetime-local field, `2026-12-31T18:00`, meant in UTC; anything else goes through to the check."""
    if not text:
        return None
    return {16: f"{text}:00Z", 19: f"{text}Z"}.get(len(text), text)


def faults_of(rule: Rule, document: Document) -> dict[str, str]:
    """What is wrong with the rule in this document, as a sentence per field path."""
    # An id is made on Apply, so a rule that has none yet lacks nothing.
    faults = {fault.field: _sentence(fault.field, fault.message) for fault in check_rule({**rule, "id": "any"})}
    # Two of a name are refused whatever their letter case.
    taken = {each["name"].casefold() for each in document["rules"] if each["id"] != rule["id"]}
    if "name" not in faults and rule["name"].casefold() in taken:
        faults["name"] = "Another rule has this name"
    return faults | dict(_blank_values(rule)) | ({} if rule["name"] else {"name": "Required"})


def _blank_values(rule: Rule) -> Iterable[tuple[str, str]]:
    for scope in SCOPES:
        for card, condition in enumerate(rule[scope]):
            for row, value in enumerate(condition["any_of"]):
                if not value["value"]:
                    yield f"{scope}[{card}].any_of[{row}].value", "Required"


def _sentence(field: str, message: str) -> str:
    if field == "cloud_scope" and "empty" in message:
        return "At least one item must be selected"
    if field == "scope_description" and message.endswith("has 0"):
        return "Required"
    return message[:1].upper() + message[1:]


def take_step(rule: Rule, step: str) -> Rule:
    """What the builder's buttons do where no script runs: `add-condition:SCOPE`, `add-value:SCOPE:CARD`,
    `remove-value:SCOPE:CARD:ROW`, `clear:SCOPE`, `remove-entry:ROW`. Anything else changes nothing."""
    match step.split(":"):
        case ["add-condition", scope] if scope in SCOPES:
            return {**rule, scope: [*rule[scope], condition_of(SCOPES[scope][0])]}
        case ["clear", scope] if scope in SCOPES:
            return {**rule, scope: []}
        case ["add-value", scope, card] if scope in SCOPES and card.isdigit():
            return {**rule, scope: [_with_row(each, index == int(card)) for index, each in enumerate(rule[scope])]}
        case ["remove-value", scope, card, row] if scope in SCOPES and card.isdigit() and row.isdigit():
            return {**rule, scope: _without_row(rule[scope], int(card), int(row))}
        case ["remove-entry", row] if row.isdigit():
            return {**rule, "allow_list": _without(rule["allow_list"], int(row))}
    return rule


def condition_of(name: str) -> dict[str, Any]:
    """A condition on the property `name`, with one value still to be typed."""
    return {"property": name, "any_of": [{"operator": OPERATORS[0], "value": ""}]}


def _with_row(condition: dict[str, Any], chosen: bool) -> dict[str, Any]:  # noqa: FBT001
    rows = condition["any_of"]
    return {**condition, "any_of": [*rows, {"operator": OPERATORS[0], "value": ""}]} if chosen else condition


def _without_row(conditions: list[dict[str, Any]], card: int, row: int) -> list[dict[str, Any]]:
    """Without that value; a condition without values goes too."""
    left = [
        {**each, "any_of": _without(each["any_of"], row)} if index == card else each
        for index, each in enumerate(conditions)
    ]
    return [each for each in left if each["any_of"]]


def _without(values: list[Any], place: int) -> list[Any]:
    return [each for index, each in enumerate(values) if index != place]
