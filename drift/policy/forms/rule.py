"""The rule panel's form: a rule from the posted fields, and an error message for each field that is wrong.

Names of the builder's fields are `resource_scope.CARD.property` and `resource_scope.CARD.ROW.operator`
or `.value`; CARD and ROW are any keys, their order is that of the fields in the form.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

from django.http import QueryDict

from drift.policy.domain.edits import Document, Edit, Rule, find_rule, hidden_characters, put_rule
from drift.web.requests import bounded_int
from sensor.policy import OPERATORS, PROCESS_PROPERTIES, PROVIDERS, RESOURCE_PROPERTIES, check_rule, describe_rule
from sensor.policy.document_terms import DEFAULT_SEVERITY
from sensor.policy.lint import LintFinding, lint_rule, take_suggestion

SCOPES = {"resource_scope": RESOURCE_PROPERTIES, "process_scope": PROCESS_PROPERTIES}


def empty_rule() -> Rule:
    """Return the rule that the panel starts with when a rule is added."""
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


@dataclass(frozen=True)
class RuleForm:
    """A rule as typed, an error message for each field path that is wrong, and what the lint found, by field path."""

    rule: Rule
    errors: dict[str, str]
    findings: dict[str, LintFinding] = field(default_factory=dict)

    @property
    def words(self) -> str:
        """What the rule does, in plain words; "" while it has errors."""
        return "" if self.errors else describe_rule(self.rule)

    @property
    def edit(self) -> Edit:
        """The edit that Apply makes: it adds a rule without an id, and changes the others."""
        return put_rule(self.rule)


def read_rule_form(data: QueryDict, document: Document) -> RuleForm:
    """Return the posted rule, after the builder's `step` if there is one, with its errors in this document."""
    typed = read_rule(data, find_rule(document, data.get("rule_id", "")))
    step = data.get("step", "")
    return rule_form(_with_suggestion(take_step(typed, step), step), document)


def rule_form(rule: Rule, document: Document) -> RuleForm:
    """Return the form of a rule with its errors and findings in this document.

    A value that is impossible by its form is an error here, where a person types it; a document may have it.
    """
    findings = {each.field: each for each in lint_rule(rule, detect=document["detect"])}
    errors = rule_errors(rule, document)
    impossible = {place: each.message for place, each in findings.items() if each.level == "error"}
    return RuleForm(rule, impossible | errors, findings)


def read_rule(data: QueryDict, stored: Rule | None = None) -> Rule:
    """Return the rule as typed, not validated.

    This is the only place where a rule is trimmed, but for values that `stored` has as they are: a path may end with a
    space, and opening a rule must not change it.
    """
    kept = _untrimmed(stored) if stored else frozenset()
    return {
        "id": data.get("rule_id", ""),
        "name": _trimmed(data, "name"),
        "action": data.get("action", ""),
        "scope_description": _trimmed(data, "scope_description"),
        "cloud_scope": _cloud_scope(data.getlist("scope")),
        "resource_scope": _conditions(data, "resource_scope", kept),
        "allow_list": [entry for each in data.getlist("allow_list") if (entry := _trimmed_value(each, kept))],
        "enabled": data.get("enabled") == "on",
        "unlisted": data.get("unlisted", "decide"),
        "process_scope": _conditions(data, "process_scope", kept),
        "expires_at": _expiry(data.get("expires_at", "")),
        "note": data.get("note", "").replace("\r\n", "\n"),
        **_severity(data.get("severity", DEFAULT_SEVERITY)),
        # The box is hidden for other actions, and keeps its state there.
        **({"dry_run": True} if data.get("dry_run") == "on" and data.get("action") == "block" else {}),
    }


def _severity(typed: str) -> dict[str, str]:
    return {} if typed == DEFAULT_SEVERITY else {"severity": typed}


def _trimmed(data: QueryDict, field: str) -> str:
    return data.get(field, "").strip()


def _untrimmed(rule: Rule) -> frozenset[str]:
    """Return the values and entries of a rule that trimming would change."""
    values = [value["value"] for scope in SCOPES for each in rule[scope] for value in each["any_of"]]
    return frozenset(each for each in (*values, *rule["allow_list"]) if each != each.strip())


def _trimmed_value(typed: str, kept: Collection[str]) -> str:
    return typed if typed in kept else typed.strip()


def _cloud_scope(selected: Iterable[str]) -> list[dict[str, Any]]:
    """Return the scope for `azure` (all of it) and `azure:ACCOUNT`; a whole provider includes its accounts."""
    chosen = list(dict.fromkeys(selected))
    scope: list[dict[str, Any]] = []
    for provider in PROVIDERS:
        accounts = [each.partition(":")[2] for each in chosen if each.startswith(f"{provider}:")]
        if provider in chosen:
            scope.append({"provider": provider})
        elif accounts:
            scope.append({"provider": provider, "accounts": accounts})
    return scope


def _conditions(data: QueryDict, scope: str, kept: Collection[str]) -> list[dict[str, Any]]:
    cards: dict[str, dict[str, Any]] = {}
    for name in data:
        match name.split("."):
            case [prefix, card, "property"] if prefix == scope:
                cards.setdefault(card, {"rows": {}})["property"] = data[name]
            case [prefix, card, row, ("operator" | "value") as part] if prefix == scope:
                rows = cards.setdefault(card, {"rows": {}})["rows"]
                typed = data.get(name, "")
                typed = _trimmed_value(typed, kept) if part == "value" else typed
                rows.setdefault(row, {"operator": OPERATORS[0], "value": ""})[part] = typed
    return [{"property": card.get("property", ""), "any_of": list(card["rows"].values())} for card in cards.values()]


def _expiry(text: str) -> str | None:
    """Return the UTC time of a datetime-local field (`2026-12-31T18:00`); other strings unchanged, for the check."""
    if not text:
        return None
    return {16: f"{text}:00Z", 19: f"{text}Z"}.get(len(text), text)


def rule_errors(rule: Rule, document: Document) -> dict[str, str]:
    """Return the rule's errors in this document: field path → sentence."""
    # The id is made on Apply, so a new rule is checked as if it had one.
    errors = {error.field: _sentence(error.field, error.message) for error in check_rule({**rule, "id": "any"})}
    errors |= {error.field: error.message for error in hidden_characters([rule])}
    # Names are unique, case-insensitively.
    taken = {each["name"].casefold() for each in document["rules"] if each["id"] != rule["id"]}
    if "name" not in errors and rule["name"].casefold() in taken:
        errors["name"] = "Another rule has this name"
    return errors | dict(_blank_values(rule)) | ({} if rule["name"] else {"name": "Required"})


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
    """Return the rule after a press of a builder's button without JavaScript.

    Steps are `add-condition:SCOPE`, `add-value:SCOPE:CARD`, `remove-value:SCOPE:CARD:ROW`, `clear:SCOPE`,
    `remove-entry:ROW`; any other string changes nothing.
    """
    match step.split(":"):
        case ["add-condition", scope] if scope in SCOPES:
            return {**rule, scope: [*rule[scope], empty_condition(SCOPES[scope][0])]}
        case ["clear", scope] if scope in SCOPES:
            return {**rule, scope: []}
        case ["add-value", scope, card] if scope in SCOPES:
            place = bounded_int(card)
            return {**rule, scope: [_with_row(each, index == place) for index, each in enumerate(rule[scope])]}
        case ["remove-value", scope, card, row] if scope in SCOPES:
            return {**rule, scope: _without_row(rule[scope], bounded_int(card), bounded_int(row))}
        case ["remove-entry", row]:
            return {**rule, "allow_list": _without(rule["allow_list"], bounded_int(row))}
    return rule


def _with_suggestion(rule: Rule, step: str) -> Rule:
    """Return the rule with what the lint suggests for a field, where the step is `suggestion:FIELD`."""
    kind, _, place = step.partition(":")
    found = next((each for each in lint_rule(rule) if each.field == place), None) if kind == "suggestion" else None
    return take_suggestion(rule, found) if found else rule


def empty_condition(name: str) -> dict[str, Any]:
    """Return a condition on the property `name` with one empty value."""
    return {"property": name, "any_of": [{"operator": OPERATORS[0], "value": ""}]}


def _with_row(condition: dict[str, Any], chosen: bool) -> dict[str, Any]:  # noqa: FBT001
    rows = condition["any_of"]
    return {**condition, "any_of": [*rows, {"operator": OPERATORS[0], "value": ""}]} if chosen else condition


def _without_row(conditions: list[dict[str, Any]], card: int | None, row: int | None) -> list[dict[str, Any]]:
    """Return the conditions without that value; a condition left without values is removed too."""
    left = [
        {**each, "any_of": _without(each["any_of"], row)} if index == card else each
        for index, each in enumerate(conditions)
    ]
    return [each for each in left if each["any_of"]]


def _without(values: list[Any], place: int | None) -> list[Any]:
    return [each for index, each in enumerate(values) if index != place]
