"""What a comparison of two documents says of each rule that changed between them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from operator import add

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
    execs = {each["rule"]: (each["execs_before"], each["execs_after"]) for each in result["rules"]}
    sums: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    for each in result["transitions"]:
        before, after = each["before"], each["after"]
        moved = each["execs"] if before["action"] != after["action"] else 0
        for rule in {before["rule"], after["rule"]}:
            sums[rule] = [*map(add, sums[rule], (moved, each["vanish"], each["appear"]))]
    rules = [UNSEEN if change.rule == DETECT else change.rule for change in changes]
    return [ChangeEffect(*execs.get(rule, (0, 0)), *sums[rule]) for rule in rules]
