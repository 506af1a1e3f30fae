"""Which changes of the policy need a second person (docs/policy-semantics.md#second-approver)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from drift.policy.domain.edits import Document, Rule

BLOCK: Final = "block"
WORDS_ALONE: Final = frozenset({"name", "note", "scope_description", "severity"})
"""The fields of a rule that decide nothing."""


@dataclass(frozen=True)
class ApprovalRule:
    """What a second person must accept: `mode` is none, blocking (changes of what is blocked), or all.

    `environments` are (provider, account); empty: every environment. Others follow the author alone.
    """

    mode: str
    environments: frozenset[tuple[str, str]] = frozenset()

    def applies(self, before: Document, after: Document) -> bool:
        """Return whether a version `after` on top of `before` needs a second person."""
        if self.mode == "none":
            return False
        part = _whole if self.mode == "all" else _blocking_part
        places = self.environments or {None}
        return any(part(before, place) != part(after, place) for place in places)


def _whole(document: Document, place: tuple[str, str] | None) -> Any:
    """Return everything that applies to an environment."""
    return document["detect"], document["default"], list(_rules(document, place))


def _blocking_part(document: Document, place: tuple[str, str] | None) -> Any:
    """Return everything that decides what is blocked in an environment.

    Of two documents with the same blocking part no process is blocked by one alone. A rule above a blocking one decides
    what reaches it, so it is part of this as well; below the last blocking rule, or default rule, nothing is.
    """
    rules = list(_rules(document, place))
    blocking = [rule for rule in rules if rule["action"] == BLOCK]
    enabled = [rule for rule in rules if rule["enabled"]]
    last = max((index for index, rule in enumerate(enabled) if rule["action"] == BLOCK), default=-1)
    if document["default"]["action"] == BLOCK:
        # Every rule is above it.
        last = len(enabled)
    above = [_deciding_fields(rule) for rule in enabled[: last + 1]]
    # Disabled blocking rules too: whoever prepares one should not be alone with it either.
    dormant = [_deciding_fields(rule) for rule in blocking if not rule["enabled"]]
    default = document["default"] if document["default"]["action"] == BLOCK else None
    return above, dormant, default, sorted(document["detect"]) if above or default else []


def _rules(document: Document, place: tuple[str, str] | None) -> Iterator[Rule]:
    """Yield the rules whose cloud scope has the environment; None: all rules."""
    for rule in document["rules"]:
        if place is None or any(_has(entry, place) for entry in rule["cloud_scope"]):
            yield rule


def _has(entry: dict[str, Any], place: tuple[str, str]) -> bool:
    provider, account = place
    return bool(entry["provider"] == provider and account in entry.get("accounts", [account]))


def _deciding_fields(rule: Rule) -> dict[str, Any]:
    return {key: value for key, value in rule.items() if key not in WORDS_ALONE}
