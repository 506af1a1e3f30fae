"""How many workloads of the estate a rule's scope matches, by what was seen of them in the last days."""

from __future__ import annotations

import datetime as dt
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from django.utils import timezone

from accounts.models import User
from drift.alerts.queries.query_limits import QueryLimit, StatementTimeout, run_limited
from drift.alerts.queries.rule_effect import RuleEffect, rule_effect, seen_workloads
from drift.alerts.queries.rule_hits import DAYS
from sensor.policy.workload_scopes import WorkloadScopes

SECONDS: Final = 2.5
"""How long counting may take while a person waits."""
Rule = Mapping[str, Any]


@dataclass(frozen=True)
class MatchedWorkloads:
    """Of the `total` workloads that the user sees, how many any of the rules matches, and how many each does."""

    total: int
    matched: int
    by_rule: dict[str, int]


@dataclass(frozen=True)
class RuleCounts:
    """What one rule would decide, and the workloads that its scope matches: None where that took too long."""

    effect: RuleEffect
    workloads: MatchedWorkloads | None


def matched_workloads(user: User, rules: Collection[Rule], proceed: Callable[[], object] = bool) -> MatchedWorkloads:
    """Count the workloads of the last DAYS that each rule's cloud and resource scope match, whatever decides above it.

    Conditions on pods and processes are left out: they are not of a workload. A disabled rule counts as if enabled.
    `proceed` is called again and again: it stops the counting by raising.
    """
    ids = [rule["id"] for rule in rules]
    scopes = WorkloadScopes([{"process_scope": [], **rule} for rule in rules])
    # Many workloads are matched by the same rules: counted by set, a thousand rules cost hardly more than one.
    sets: Counter[int] = Counter()
    for _, facts in seen_workloads(user, timezone.now().date() - dt.timedelta(days=DAYS)):
        proceed()
        sets[scopes.matching(facts)] += 1
    counts = dict.fromkeys(ids, 0)
    for matching, count in sets.items():
        proceed()
        for position, rule_id in enumerate(ids):
            counts[rule_id] += count * (matching >> position & 1)
    return MatchedWorkloads(sets.total(), sets.total() - sets[0], counts)


def workloads_in_time(user: User, rules: Collection[Rule]) -> MatchedWorkloads | QueryLimit:
    """Return the counts of `matched_workloads`, or the limit that counting them met: then there are none."""
    return run_limited(user, SECONDS, lambda: matched_workloads(user, rules, _deadline()))


def rule_counts(user: User, document: Mapping[str, Any], rule: Rule) -> RuleCounts | QueryLimit:
    """Return what the document's `rule` would decide and the workloads of its scope, or the limit that both met."""

    def count() -> RuleCounts:
        try:
            workloads = matched_workloads(user, [rule], _deadline())
        except StatementTimeout:
            workloads = None
        return RuleCounts(rule_effect(user, document, rule["id"]), workloads)

    return run_limited(user, 2 * SECONDS, count)


def _deadline() -> Callable[[], None]:
    """Return a function that raises StatementTimeout once SECONDS have passed."""
    deadline = time.monotonic() + SECONDS

    def proceed() -> None:
        if time.monotonic() > deadline:
            raise StatementTimeout

    return proceed
