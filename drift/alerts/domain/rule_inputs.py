"""Which facts of an event a policy rule depends on: those of its workload alone, or also its file, parent and pod."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sensor.policy.properties import EVENT_PROPERTIES, FILE_PROPERTIES, WORKLOAD_PROPERTIES

Rule = Mapping[str, Any]


def depends_beyond_workload(rule: Rule) -> bool:
    """Return whether an event's workload alone does not settle if the rule decides."""
    passes_on = bool(rule["allow_list"]) and rule["unlisted"] == "next_rule"
    has_condition = bool(rule["process_scope"]) or has_property([rule], EVENT_PROPERTIES)
    return bool(rule["enabled"]) and (passes_on or has_condition)


def workload_part(rule: Rule) -> Rule:
    """Return the rule without the conditions that look beyond the workload."""
    scope = [condition for condition in rule["resource_scope"] if condition["property"] in WORKLOAD_PROPERTIES]
    return {**rule, "resource_scope": scope, "process_scope": [], "allow_list": []}


def has_property(rules: Sequence[Rule], names: Collection[str]) -> bool:
    """Return whether a condition of the rules is on one of these properties."""
    return any(
        each["property"] in names for rule in rules for each in (*rule["resource_scope"], *rule["process_scope"])
    )


def depends_on_file(rules: Sequence[Rule]) -> bool:
    """Return whether the rules look at the file: by an allow list, or a condition on one of its properties."""
    return any(rule["allow_list"] for rule in rules) or has_property(rules, FILE_PROPERTIES)
