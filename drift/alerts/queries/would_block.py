"""What dry runs of blocking rules would have blocked in the last days, by rule and workload."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final

from django.db.models import Sum
from django.utils import timezone

from accounts.models import User
from drift.alerts.models import DriftEvent, Workload
from drift.alerts.queries.query_limits import statement_timeout
from drift.alerts.queries.rule_hits import DAYS
from drift.fleet.models import Sensor

SECONDS: Final = 2.5
SHOWN: Final = 5
"""Workloads that are named for each rule, those with the most executions first."""


@dataclass(frozen=True)
class WouldBlock:
    """Executions that a rule would have blocked, in how many workloads, and the first of those with their counts."""

    rule: str
    execs: int
    workloads: int
    first: list[tuple[Workload, int]]


def would_block(user: User, rules: Collection[str]) -> list[WouldBlock]:
    """Return the counts of the last DAYS for these rules, in their order. Raises StatementTimeout.

    A rule that would have blocked nothing is among them, with zeros.
    """
    first_day = timezone.now().date() - dt.timedelta(days=DAYS - 1)
    events = DriftEvent.objects.visible_to(user).filter(
        observed_on__gte=first_day, outcome="would_block", rule__in=list(rules)
    )
    events = events.exclude(sensor_id__in=Sensor.objects.filter(quarantined_at__isnull=False).values("pk"))
    with statement_timeout(SECONDS):
        counted = list(events.values_list("rule", "workload_id").annotate(execs=Sum("count")).order_by("-execs"))
    found = {rule: [(workload, execs) for of, workload, execs in counted if of == rule] for rule in rules}
    rows = Workload.objects.visible_to(user).in_bulk(_shown_ids(found.values()))
    return [
        WouldBlock(
            rule,
            sum(execs for _, execs in each),
            len(each),
            [(rows[workload], execs) for workload, execs in each[:SHOWN] if workload in rows],
        )
        for rule, each in found.items()
    ]


def _shown_ids(found: Iterable[list[tuple[int, int]]]) -> list[int]:
    return [workload for each in found for workload, _ in each[:SHOWN]]
