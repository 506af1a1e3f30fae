"""A rule as the panel's template wants it: every field with its fault beside it."""

from __future__ import annotations

import datetime as dt
from typing import Any

from drift.policy.domain.edits import Rule
from drift.policy.forms.rule import SCOPES, condition_of
from sensor.policy import KINDS, LIMITS, PROVIDERS, cloud_scope_summary, describe_rule
from sensor.policy.descriptions import ACTION_LABELS, OPERATOR_LABELS, PROPERTY_LABELS, PROVIDER_LABELS
from sensor.policy.properties import EQUALS_ONLY

PanelContext = dict[str, Any]
FIELDS = ("name", "action", "scope_description", "cloud_scope", "allow_list", "expires_at", "note")
"""The fields outside the builders, which have one fault each."""


def rule_panel(rule: Rule, faults: dict[str, str]) -> PanelContext:
    """The context of `policy/rule_panel.html`, but for what the view adds."""
    return {
        "rule": rule,
        "faults": {field: faults.get(field) for field in FIELDS},
        "has_faults": bool(faults),
        "actions": ACTION_LABELS.items(),
        "scope_summary": cloud_scope_summary(rule["cloud_scope"]),
        "scope_tree": _scope_tree(rule),
        "resource": _builder("resource_scope", rule, faults),
        "process": _builder("process_scope", rule, faults),
        "entries": [
            {"value": entry, "fault": faults.get(f"allow_list[{place}]"), "is_name": is_name(entry)}
            for place, entry in enumerate(rule["allow_list"])
        ],
        "expires_at": _local(rule["expires_at"]),
        "words": words_of(rule, faults),
        "more_open": _uses_more(rule),
        "kinds": KINDS,
        "limits": LIMITS,
    }


def is_name(entry: str) -> bool:
    """Whether an allow-list entry is a file name alone: whoever writes the file chooses it."""
    return not entry.startswith(("/", "sha256:"))


def words_of(rule: Rule, faults: dict[str, str]) -> str:
    """What the rule does, in plain words; nothing while it has faults."""
    return "" if faults else describe_rule(rule)


def _builder(scope: str, rule: Rule, faults: dict[str, str]) -> dict[str, Any]:
    """One builder: its choices and its cards of rows."""
    return {
        "scope": scope,
        "root": "Containers of selected cloud scope" if scope == "resource_scope" else "Processes of those containers",
        "properties": [(name, PROPERTY_LABELS[name]) for name in SCOPES[scope]],
        "operators": OPERATOR_LABELS.items(),
        "equals_only": " ".join(sorted(EQUALS_ONLY)),
        "cards": [_card(scope, place, condition, faults) for place, condition in enumerate(rule[scope])],
        "blank": _card(scope, -1, condition_of(SCOPES[scope][0]), {}),
        "fault": faults.get(scope),
    }


def _card(scope: str, place: int, condition: dict[str, Any], faults: dict[str, str]) -> dict[str, Any]:
    where = f"{scope}[{place}]"
    rows = [
        {
            "operator": value["operator"],
            "value": value["value"],
            "fault": faults.get(f"{where}.any_of[{row}].value") or faults.get(f"{where}.any_of[{row}].operator"),
        }
        for row, value in enumerate(condition["any_of"])
    ]
    return {"property": condition["property"], "rows": rows, "fault": faults.get(f"{where}.property")}


def _scope_tree(rule: Rule) -> list[dict[str, Any]]:
    """The providers, and below each the accounts that the rule names; the page adds the estate's environments."""
    whole = {entry["provider"] for entry in rule["cloud_scope"] if "accounts" not in entry}
    accounts: dict[str, dict[str, None]] = {provider: {} for provider in PROVIDERS}
    for entry in rule["cloud_scope"]:
        accounts[entry["provider"]] |= dict.fromkeys(entry.get("accounts", []))
    return [
        {"value": each, "label": PROVIDER_LABELS[each], "checked": each in whole, "accounts": accounts[each]}
        for each in PROVIDERS
    ]


def _local(expires_at: str | None) -> str:
    """A time for a field of type datetime-local, in UTC; a text that is no time stays as it is."""
    if not expires_at:
        return ""
    try:
        moment = dt.datetime.fromisoformat(expires_at).astimezone(dt.UTC)
    except ValueError:
        return expires_at
    return moment.strftime("%Y-%m-%dT%H:%M:%S")


def _uses_more(rule: Rule) -> bool:
    return bool(
        rule["process_scope"]
        or rule["unlisted"] != "decide"
        or rule["expires_at"]
        or rule["note"]
        or not rule["enabled"]
    )
