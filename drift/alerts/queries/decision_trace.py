"""Why an alert was raised: each rule that the deciding policy version evaluated, and what kept it from matching."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from drift.alerts.domain.alert_wording import UNMATCHED
from drift.alerts.models import Alert
from drift.alerts.queries.compiled_policies import CompiledVersion, compiled_version
from drift.policy.domain.diff import DEFAULT_NAME
from drift.policy.models import PolicyVersion
from sensor import policy, wire
from sensor.policy.decisions import Decision


@dataclass(frozen=True)
class TraceStep:
    """One evaluated rule: what kept it from matching, or that it decided."""

    number: int
    name: str
    has_decided: bool
    unmatched: str
    conditions: str
    actual: str = ""
    """What the event has in place of the expected values."""


def decision_trace(alert: Alert) -> list[dict[str, Any]]:
    """Return each evaluated rule in order, the deciding one last, by the version that decided.

    Empty where no rule was evaluated, the portal does not have the version (after a restore), or the stored event has
    a shape that this release cannot read.
    """
    version = _deciding_version(alert) if alert.rule_id else None
    if version is None:
        return []
    stored = alert.detail.event
    try:
        event = msgspec.convert(stored, wire.Event)
    except msgspec.ValidationError:
        return []
    facts = wire.flatten(event, stored["provider"], stored["account"], stored["cluster_name"])
    return version.policy.explain(facts)[1]


def trace_steps(alert: Alert) -> list[TraceStep]:
    """Return the trace in words."""
    version = _deciding_version(alert)
    return [_trace_step(number, each, version) for number, each in enumerate(decision_trace(alert), start=1)]


def explained(version: CompiledVersion, facts: Mapping[str, Any]) -> tuple[Decision, list[TraceStep]]:
    """Return what a version decides about a flat event, and each evaluated rule in words, the deciding one last."""
    decision, trace = version.policy.explain(facts)
    steps = [_trace_step(number, each, version) for number, each in enumerate(trace, start=1)]
    named = zip(steps, trace, strict=True)
    return decision, [replace(step, actual=_actual(facts, each["failed"])) for step, each in named]


def _actual(facts: Mapping[str, Any], failed: Mapping[str, Any] | None) -> str:
    """Return the event's value of the property that failed; for a cloud scope its environment."""
    if failed is None:
        return ""
    if failed["scope"] == "cloud_scope":
        return "/".join(filter(None, (facts.get("provider"), facts.get("account")))) or "unknown"
    if not failed["property"]:
        return ""
    value = facts.get(failed["property"])
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={each}" for key, each in value.items())
    return str(value) if value else "nothing"


def _deciding_version(alert: Alert) -> CompiledVersion | None:
    try:
        return compiled_version(alert.policy_number) if alert.policy_number else None
    except PolicyVersion.DoesNotExist:
        return None


def _trace_step(number: int, each: dict[str, Any], version: CompiledVersion | None) -> TraceStep:
    rule = version.rules.get(each["rule"]) if version else None
    name = (rule or {}).get("name", DEFAULT_NAME if each["rule"] == policy.DEFAULT_RULE else each["rule"])
    failed = each["failed"]
    if failed is None:
        return TraceStep(number, name, has_decided=True, unmatched="", conditions="")
    unmatched, conditions = UNMATCHED[failed["scope"]], ""
    if failed["property"]:
        unmatched = f"{unmatched}: {failed['property'].replace('_', ' ')}"
        conditions = _expected_values(rule, failed)
    return TraceStep(number, name, has_decided=False, unmatched=unmatched, conditions=conditions)


def _expected_values(rule: dict[str, Any] | None, failed: dict[str, Any]) -> str:
    """Return the values that would have matched."""
    scope = (rule or {}).get(failed["scope"], [])
    values = [value for each in scope if each["property"] == failed["property"] for value in each["any_of"]]
    return " or ".join(f"{value['operator'].replace('_', ' ')} “{value['value']}”" for value in values)
