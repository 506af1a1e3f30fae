"""A decision, the event that it is made for, and the decisions that one rule can make."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from sensor.policy.document_terms import DEFAULT_RULE

Action = Literal["alert", "block", "ignore"]
Reason = Literal["scope", "allow_list", "not_on_allow_list", "default"]


class FlatEvent(Protocol):
    """A flat event that `check_event` accepts, such as a dict (docs/policy-semantics.md#events)."""

    def get(self, key: str, /) -> Any: ...


@dataclass(frozen=True, slots=True)
class Decision:
    """The policy's decision for an event: `rule` is the deciding rule's id, or "default"."""

    action: Action
    rule: str
    reason: Reason


def effective_action(rule: Mapping[str, Any]) -> Action:
    """Return what a rule does: one that blocks, but only records what it would block (`dry_run`), alerts."""
    action: Action = rule["action"]
    return "alert" if rule.get("dry_run") else action


def default_rule(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the default rule of a normalised document, with the id by which decisions name it."""
    return {"id": DEFAULT_RULE, **document["default"]}


def blocking_rules(document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return what blocks in a normalised document: the enabled rules that do, and the default rule where it does.

    Those of a dry run do not.
    """
    enabled = [rule for rule in document["rules"] if rule["enabled"]]
    return [rule for rule in (*enabled, default_rule(document)) if effective_action(rule) == "block"]


class RuleDecisions:
    """The decisions that a normalised rule can make, built once."""

    __slots__ = ("by_list", "by_scope", "id", "unlisted")

    def __init__(self, rule: Mapping[str, Any]) -> None:
        self.id: str = rule["id"]
        action = effective_action(rule)
        self.by_scope = Decision(action, self.id, "scope")
        self.by_list = Decision("ignore", self.id, "allow_list")
        # An ignore rule with a list vouches for the listed processes alone, so others alert.
        self.unlisted = Decision("alert" if action == "ignore" else action, self.id, "not_on_allow_list")
