"""A decision, what it is made from, and the decisions that one rule can make."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

Action = Literal["alert", "block", "ignore"]
Reason = Literal["scope", "allow_list", "not_on_allow_list", "default"]


class Event(Protocol):
    """A flat event (DESIGN §2) that `check_event` finds nothing wrong with, e.g. a dict."""

    def get(self, key: str, /) -> Any: ...


@dataclass(frozen=True, slots=True)
class Decision:
    """What the policy says about an event: `rule` is the deciding rule's id, or "default"."""

    action: Action
    rule: str
    reason: Reason


class Rule:
    """A normalised rule's possible decisions, made up front."""

    __slots__ = ("by_list", "by_scope", "id", "unlisted")

    def __init__(self, rule: Mapping[str, Any]) -> None:
        self.id: str = rule["id"]
        action: Action = rule["action"]
        self.by_scope = Decision(action, self.id, "scope")
        self.by_list = Decision("ignore", self.id, "allow_list")
        self.unlisted = Decision("alert" if action == "ignore" else action, self.id, "not_on_allow_list")
