"""How many workloads of the estate a rule's scope matches, by what was seen of them in the last days."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from django.utils import timezone

from accounts.models import User
from drift.alerts.domain.rule_inputs import workload_part
from drift.alerts.queries.rule_effect import seen_workloads
from drift.alerts.queries.rule_hits import DAYS
from sensor.policy import compile_policy

Rule = Mapping[str, Any]


@dataclass(frozen=True)
class MatchedWorkloads:
    """Of the `total` workloads that the user sees, how many any of the rules matches, and how many each does."""

    total: int
    matched: int
    by_rule: dict[str, int]


def matched_workloads(user: User, rules: Collection[Rule]) -> MatchedWorkloads:
    """Count the workloads of the last DAYS that each rule's cloud and resource scope match, whatever decides above it.

    Conditions on pods and processes are left out: they are not of a workload. A disabled rule counts as if enabled.
    """
    alone = {
        rule["id"]: compile_policy(
            {"schema": 1, "rules": [{**workload_part(rule), "enabled": True}], "default": {"action": "ignore"}}
        )
        for rule in rules
    }
    counts, total, matched = dict.fromkeys(alone, 0), 0, 0
    for _, facts in seen_workloads(user, timezone.now().date() - dt.timedelta(days=DAYS)):
        total += 1
        found = [rule_id for rule_id, policy in alone.items() if policy.decide(facts).rule == rule_id]
        matched += bool(found)
        for rule_id in found:
            counts[rule_id] += 1
    return MatchedWorkloads(total, matched, counts)
