"""Compiled policy versions, which decide for sensors without a policy and explain earlier decisions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Final

from drift.policy.domain.diff import DEFAULT_NAME
from drift.policy.models import PolicyVersion
from sensor import policy, wire
from sensor.policy import Policy
from sensor.policy.decisions import default_rule
from sensor.policy.drift_kinds import NEVER_BLOCKED

UNIDENTIFIED: Final = "identity_incomplete"
"""The reason of a sensor's own decision, without a policy, about a container that it could not identify."""


@dataclass(frozen=True)
class CompiledVersion:
    """A saved version. It never changes, so it can be cached; compiled when it first decides."""

    number: int
    document: dict[str, Any]

    @cached_property
    def policy(self) -> Policy:
        return policy.compile_policy(self.document)

    @cached_property
    def dry_runs(self) -> frozenset[str]:
        """The ids of its rules that only record what they would block, the default rule's among them."""
        rules = [*self.document["rules"], default_rule(self.document)]
        return frozenset(rule["id"] for rule in rules if rule.get("dry_run"))

    @cached_property
    def rules(self) -> dict[str, dict[str, Any]]:
        """Its rules by id, the default rule with its name."""
        default = {**default_rule(self.document), "name": DEFAULT_NAME}
        return {rule["id"]: rule for rule in (*self.document["rules"], default)}


@lru_cache(maxsize=16)
def compiled_version(number: int) -> CompiledVersion:
    """Return a version by its number. Raises PolicyVersion.DoesNotExist."""
    version = PolicyVersion.objects.get(pk=number)
    return CompiledVersion(number, version.document)


def latest_number() -> int | None:
    """Return the newest version's number; None before the first."""
    return PolicyVersion.objects.order_by("-number").values_list("number", flat=True).first()


def decide(number: int | None, facts: Mapping[str, object]) -> wire.EventDecision:
    """Return what version `number` decides about a flat event; the newest version where the sensor has none."""
    number = number or latest_number()
    if number is None:
        found = policy.compile_policy(policy.default_document()).decide(facts)
    else:
        found = compiled_version(number).policy.decide(facts)
    return wire.EventDecision(found.action, found.rule, found.reason, number)


def would_block(decision: wire.EventDecision, kind: str) -> bool:
    """Return whether a dry run of a blocking rule decided drift of this kind, which sensors would stop without it."""
    if decision.policy_number is None or decision.action != "alert" or kind in NEVER_BLOCKED:
        return False
    try:
        version = compiled_version(decision.policy_number)
    except PolicyVersion.DoesNotExist:
        return False
    return decision.rule in version.dry_runs and version.policy.may_block(decision.rule, kind)


def deciding_rule(decision: wire.EventDecision) -> dict[str, Any] | None:
    """Return the rule that decided, as it was. None where no rule did, or the version is lost (after a restore)."""
    if decision.policy_number is None or decision.rule is None:
        return None
    return version_rules(decision.policy_number).get(decision.rule)


def version_rules(number: int) -> Mapping[str, dict[str, Any]]:
    """Return the rules of version `number` by id; none where the version does not exist."""
    try:
        return compiled_version(number).rules
    except PolicyVersion.DoesNotExist:
        return {}
