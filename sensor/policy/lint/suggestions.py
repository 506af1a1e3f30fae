"""A suggestion, taken: the rule with what was probably meant in place of what was typed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from sensor.policy.lint.findings import LintFinding, Suggestion

_VALUE = re.compile(r"(resource_scope|process_scope)\[(\d+)\]\.any_of\[(\d+)\]\.value")
_ENTRY = re.compile(r"allow_list\[(\d+)\]")
_ACCOUNT = re.compile(r"cloud_scope\[(\d+)\]\.accounts\[(\d+)\]")
Rule = dict[str, Any]


def take_suggestion(rule: Mapping[str, Any], finding: LintFinding) -> Rule:
    """Return a copy of the rule with the finding's suggestion taken; as it is, where the finding has none."""
    suggestion = finding.suggestion
    if suggestion is None:
        return dict(rule)
    if place := _VALUE.fullmatch(finding.field):
        return _with_values(rule, place[1], int(place[2]), int(place[3]), suggestion)
    if place := _ENTRY.fullmatch(finding.field):
        return {**rule, "allow_list": _replaced(rule["allow_list"], int(place[1]), suggestion.entries)}
    if place := _ACCOUNT.fullmatch(finding.field):
        scope = list(rule["cloud_scope"])
        entry = scope[int(place[1])]
        accounts = _replaced(entry["accounts"], int(place[2]), suggestion.entries)
        scope[int(place[1])] = {**entry, "accounts": accounts}
        return {**rule, "cloud_scope": scope}
    return dict(rule)


def _with_values(rule: Mapping[str, Any], scope: str, card: int, row: int, suggestion: Suggestion) -> Rule:
    conditions = list(rule[scope])
    old = conditions[card]
    values = _replaced(old["any_of"], row, _as_json(suggestion.values))
    more = [{"property": old["property"], "any_of": [each]} for each in _as_json(suggestion.more)]
    conditions[card : card + 1] = [{"property": suggestion.name or old["property"], "any_of": values}, *more]
    return {**rule, scope: conditions}


def _as_json(values: tuple[tuple[str, str], ...]) -> list[dict[str, str]]:
    return [{"operator": operator, "value": string} for operator, string in values]


def _replaced(items: list[Any], place: int, new: Any) -> list[Any]:
    return [*items[:place], *new, *items[place + 1 :]]
