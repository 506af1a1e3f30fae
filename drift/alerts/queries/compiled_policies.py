"""Policy versions, compiled once, to decide for a sensor that has none yet and to explain a decision."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

from drift.policy.models import PolicyVersion
from sensor import policy, wire
from sensor.policy import Policy

DEFAULT_NAME = "Default binary drift rule"


@dataclass(frozen=True)
class Compiled:
    """One version; it never changes, so it may be kept. Compiled when it is first asked to decide."""

    number: int
    document: dict[str, Any]

    @cached_property
    def policy(self) -> Policy:
        return policy.compile_policy(self.document)

    @cached_property
    def rules(self) -> dict[str, dict[str, Any]]:
        """Its rules by their ids; the default rule is given a name."""
        default = {"id": policy.DEFAULT_RULE, "name": DEFAULT_NAME, **self.document["default"]}
        return {rule["id"]: rule for rule in (*self.document["rules"], default)}


@lru_cache(maxsize=16)
def compiled(number: int) -> Compiled:
    """A version by its number. Raises PolicyVersion.DoesNotExist."""
    version = PolicyVersion.objects.get(pk=number)
    return Compiled(number, version.document)


def latest_number() -> int | None:
    """The newest version's number; None before the first."""
    return PolicyVersion.objects.order_by("-number").values_list("number", flat=True).first()


def decide(number: int | None, facts: Mapping[str, object]) -> wire.Decision:
    """What version `number`, the newest where the sensor has none, says of a flat event."""
    number = number or latest_number()
    if number is None:
        found = policy.compile_policy(policy.default_document()).decide(facts)
    else:
        found = compiled(number).policy.decide(facts)
    return wire.Decision(found.action, found.rule, found.reason, number)


def rule_of(decision: wire.Decision) -> dict[str, Any] | None:
    """The rule that decided, as it was. None where no rule did, or the portal has no such version (restored)."""
    if decision.policy_number is None or decision.rule is None:
        return None
    return rules_of(decision.policy_number).get(decision.rule)


def rules_of(number: int) -> Mapping[str, dict[str, Any]]:
    """The rules of version `number` by their ids; none where there is no such version."""
    try:
        return compiled(number).rules
    except PolicyVersion.DoesNotExist:
        return {}
