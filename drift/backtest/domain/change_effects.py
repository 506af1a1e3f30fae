"""What a comparison of two documents says of each rule that changed between them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from drift.backtest.domain.result import Result
from drift.backtest.domain.transitions import UNSEEN
from drift.policy.domain.rule_changes import DETECT, RuleChange


@dataclass(frozen=True)
class ChangeEffect:
    """Executions that the rule decides before and after, and the alerts that disappear and appear with it.

    `changed` are the executions that it decided, or now decides, and that are decided otherwise.
    """

    before: int
    after: int
    changed: int
    vanish: int
    appear: int


def change_effects(result: Result, changes: Iterable[RuleChange]) -> list[ChangeEffect]:
    """Return the effect of each change. A decision that moves between two of the rules counts for both."""
    return [_effect(result, UNSEEN if change.rule == DETECT else change.rule) for change in changes]


def _effect(result: Result, rule: str) -> ChangeEffect:
    execs = [(each["execs_before"], each["execs_after"]) for each in result["rules"] if each["rule"] == rule]
    before, after = execs[0] if execs else (0, 0)
    own = [each for each in result["transitions"] if rule in (each["before"]["rule"], each["after"]["rule"])]
    return ChangeEffect(
        before,
        after,
        sum(each["execs"] for each in own if each["before"]["action"] != each["after"]["action"]),
        sum(each["vanish"] for each in own),
        sum(each["appear"] for each in own),
    )
