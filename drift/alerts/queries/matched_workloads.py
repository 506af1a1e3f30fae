"""How many workloads of the estate a rule's scope matches, by what was seen of them in the last days."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from django.utils import timezone

from accounts.models import User
from drift.alerts.queries.rule_effect import seen_workloads
from drift.alerts.queries.rule_hits import DAYS
from sensor.policy.workload_scopes import WorkloadScopes

Rule = Mapping[str, Any]


@dataclass(frozen=True)
class MatchedWorkloads:
    """Of the `total` workloads that the user sees, how many any of the rules matches, and how many each does."""

    total: int
    matched: int
    by_rule: dict[str, int]


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
