"""Predict from the workload and the kind of drift alone whether an exec would be blocked.

A sensor may stop an exec before it knows the file's name, content and parent only where none of them matters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from sensor.policy.decisions import effective_action
from sensor.policy.document_terms import DEFAULT_RULE, DIGEST_PREFIX
from sensor.policy.drift_kinds import NAMED_TO_BLOCK
from sensor.policy.lookup_tables import AllowListTable, rule_mask
from sensor.policy.matchers import rule_conditions
from sensor.policy.string_tables import RuleSet

BlockPrediction = Literal["always", "depends", "never"]
"""`always`: every such process is blocked; `never`: none is; `depends`: it depends on the process."""


class BlockingRules:
    """Which rules block, and which of them name kinds or list digests; each as a rule set."""

    __slots__ = ("_block", "_default_blocks", "_list_digests", "_lists", "_name_kinds", "_positions")

    def __init__(
        self, rules: Sequence[Mapping[str, Any]], lists: AllowListTable, *, default_blocks: bool = False
    ) -> None:
        properties = [{condition["property"] for condition in rule_conditions(rule)} for rule in rules]
        self._lists, self._default_blocks = lists, default_blocks
        self._block = rule_mask(effective_action(rule) == "block" for rule in rules)
        self._name_kinds = rule_mask("drift_kind" in names for names in properties)
        self._list_digests = rule_mask(_lists_digests(rule) for rule in rules)
        self._positions = {rule["id"]: position for position, rule in enumerate(rules)}

    def may_block(self, rule: str, kind: str) -> bool:
        """Whether a rule that decided drift of this kind may block it: routine kinds must be named in the rule.

        The default rule names none.
        """
        if kind not in NAMED_TO_BLOCK:
            return True
        return rule != DEFAULT_RULE and bool(self._name_kinds >> self._positions[rule] & 1)

    def position(self, rule: str) -> int:
        """Return where a rule stands among all, by its id."""
        return self._positions[rule]

    def predict(self, candidates: RuleSet, kind: str, uncertain: RuleSet) -> BlockPrediction:
        """Return the prediction, given the rules whose known conditions hold; those of `uncertain` have others."""
        blocking = self._block & (self._name_kinds if kind in NAMED_TO_BLOCK else ~0)
        # Only content counts for a fileless process, so a list of names and paths never lets one run.
        listing = self._lists.having & (self._list_digests if kind == "fileless" else ~0)
        some_blocked = some_not = False
        while candidates:
            rule = candidates & -candidates
            candidates ^= rule
            decisive = bool(rule & self._lists.decisive)
            some_not |= bool(rule & listing) or (decisive and not rule & blocking)
            some_blocked |= decisive and bool(rule & blocking)
            if decisive and not rule & uncertain:
                break  # decides every process that reaches it
        else:
            is_blocked = self._default_blocks and kind not in NAMED_TO_BLOCK
            some_blocked |= is_blocked
            some_not |= not is_blocked
        if not some_blocked:
            return "never"
        return "depends" if some_not else "always"


def _lists_digests(rule: Mapping[str, Any]) -> bool:
    return any(entry.startswith(DIGEST_PREFIX) for entry in rule["allow_list"])
