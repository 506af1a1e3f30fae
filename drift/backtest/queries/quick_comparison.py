"""The effect of a change on the last days, counted while a person waits."""

from __future__ import annotations

import datetime as dt
import time
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from django.utils import timezone

from accounts.models import User
from drift.alerts.queries.matched_workloads import MatchedWorkloads, matched_workloads
from drift.alerts.queries.query_limits import (
    QueryLimit,
    StatementTimeout,
    limit_statements,
    run_limited,
    statement_timeout,
)
from drift.alerts.queries.rule_hits import stored_days
from drift.backtest.domain.change_effects import ChangeEffect, change_effects
from drift.backtest.domain.result import Result
from drift.backtest.queries.comparison import Cancelled, compare
from drift.policy.domain.edits import Document
from drift.policy.domain.rule_changes import RuleChange

SECONDS: Final = 4.0
"""How long counting may take; a backtest has no such limit."""


class Matched(NamedTuple):
    """How many workloads the scope of a changed rule matches: before and after, None where there is no rule."""

    before: int | None
    after: int | None

    @property
    def is_same(self) -> bool:
        """Whether one number says it: the other is the same, or there is none."""
        return None in self or self.before == self.after

    @property
    def shown(self) -> int | None:
        """The number after, or before where the rule was removed."""
        return self.before if self.after is None else self.after


@dataclass(frozen=True)
class QuickComparison:
    """The result, each change with its effect and the workloads of its scope, and the number of all workloads.

    Where the time was up before the workloads were counted, their numbers are None.
    """

    result: Result
    changes: list[tuple[RuleChange, ChangeEffect, Matched]]
    workloads: int | None


def quick_comparison(
    user: User, before: Document, after: Document, changes: list[RuleChange]
) -> QuickComparison | QueryLimit:
    """Return what the events of the last `stored_days` would have been, or the limit that counting them met."""
    deadline = time.monotonic() + SECONDS
    now = timezone.now()
    first = now.date() - dt.timedelta(days=stored_days() - 1)

    def is_in_time(_: int = 0) -> bool:
        left = deadline - time.monotonic()
        if left > 0:
            # The limit is one of each statement: the next may take what is left.
            limit_statements(left)
        return left > 0

    def count() -> QuickComparison:
        result = compare(before, after, first, now, is_in_time, viewer=user, max_transitions=None)
        workloads = _workloads(user, changes, deadline)
        counts = workloads.by_rule if workloads else {}
        matched = [Matched(counts.get(f"before {each.rule}"), counts.get(f"after {each.rule}")) for each in changes]
        effects = change_effects(result, changes)
        return QuickComparison(
            result, list(zip(changes, effects, matched, strict=True)), workloads.total if workloads else None
        )

    try:
        return run_limited(user, SECONDS, count)
    except Cancelled:
        return QueryLimit.TIMEOUT


def _workloads(user: User, changes: list[RuleChange], deadline: float) -> MatchedWorkloads | None:
    """Return how many workloads the changed rules match, None where the time was up: what was compared is kept."""

    def proceed() -> None:
        if time.monotonic() >= deadline:
            raise Cancelled

    try:
        with statement_timeout(deadline - time.monotonic()):
            return matched_workloads(user, _with_own_ids(changes), proceed)
    except (Cancelled, StatementTimeout):
        return None


def _with_own_ids(changes: list[RuleChange]) -> list[dict[str, Any]]:
    """Return the changed rules, before and after, so that both are counted."""
    before = [{**each.before, "id": f"before {each.rule}"} for each in changes if each.before]
    return [*before, *({**each.after, "id": f"after {each.rule}"} for each in changes if each.after)]
