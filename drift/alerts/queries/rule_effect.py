"""How many of the last days' events one rule of a document would decide, in the place that it has there.

Most workloads are settled by their own facts; only of the others are files, parents and pods looked at. Days are
counted from today back, each whole, for as long as the asker waits.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.db import connection
from django.db.models import Sum
from django.utils import timezone

from accounts.models import User
from drift.alerts.models import Binary, RuleHits, Workload
from drift.alerts.queries.query_limits import TooLong, at_most
from drift.alerts.queries.rule_hits import DAYS
from sensor.policy import DEFAULT_RULE, compile_policy
from sensor.policy.flat_event import BINARY_ROWS, EVENT_ROWS, WORKLOAD_ROWS
from sensor.policy.properties import EVENT_PROPERTIES, FILE_PROPERTIES, WORKLOAD_PROPERTIES

SECONDS: Final = 2.5
"""How long counting may take."""
BATCH: Final = 2_000
MOST_GROUPS: Final = 200_000
"""Kinds of event of one day that are told apart; more take too long."""
STRANGER: Final = "identity_incomplete"
"""The reason of what a sensor decides by itself: no policy would decide otherwise."""
_COLUMNS: Final = ", ".join(f"CASE WHEN look AND %s THEN {column} ELSE '' END" for column in EVENT_ROWS.columns)
_GROUPS: Final = ", ".join(str(1 + n) for n in range(2 + len(EVENT_ROWS.columns)))
EVENTS: Final = f"""
SELECT workload_id, CASE WHEN look AND %s THEN binary_id ELSE 0 END, {_COLUMNS}, sum(count)
FROM alerts_driftevent JOIN unnest(%s::bigint[], %s::boolean[]) AS asked (workload, look) ON workload = workload_id
WHERE observed_on = %s AND reason <> %s GROUP BY {_GROUPS} LIMIT %s
"""  # noqa: S608 - made of columns of the table of properties
Document = Mapping[str, Any]
Rule = Mapping[str, Any]
Facts = dict[str, Any]
Row = tuple[Any, ...]
"""Workload, file (0: not needed), the values of EVENT_ROWS ("": not needed), and the number of executions."""


@dataclass(frozen=True)
class Decided:
    """Of `total` events of the last `days` days (summaries with all they stand for), `count` would be the rule's."""

    count: int
    total: int
    days: int

    @property
    def is_whole(self) -> bool:
        """Whether all the days were counted that were asked about."""
        return self.days == DAYS


def decided_by(user: User, document: Document, rule_id: str, seconds: float = SECONDS) -> Decided:
    """What the rule would decide of the last DAYS; fewer days where those take longer than `seconds`."""
    places = [rule["id"] for rule in document["rules"]]
    upto = {**document, "rules": document["rules"][: places.index(rule_id) + 1]}  # what stands below it never matters
    today = timezone.now().date()
    count = days = 0
    try:
        counter = _Counter(user, upto, time.monotonic() + seconds)
        for back in range(DAYS):
            count += counter.of_day(today - dt.timedelta(days=back))
            days += 1
    except TooLong:
        pass
    return Decided(count, _total(user, today - dt.timedelta(days=days - 1)), days)


def _total(user: User, first: dt.date) -> int:
    rows = RuleHits.objects.visible_to(user).filter(day__gte=first)
    return int(rows.aggregate(execs=Sum("execs", default=0))["execs"])


class _Counter:
    """The last rule of a document, and the workloads of which it may decide an event."""

    def __init__(self, user: User, document: Document, deadline: float) -> None:
        *above, rule = document["rules"]
        self._user, self._rule, self._deadline = user, rule["id"], deadline
        self._policy = compile_policy(document)
        looking = [each for each in document["rules"] if _looks_further(each)]
        self._columns = [_asks_file(looking), *(_asks(looking, [name]) for name in EVENT_PROPERTIES)]
        self._workloads: dict[int, Facts] = {}
        self._looks: list[bool] = []
        self._files: dict[int, Facts] = {0: {}}
        settled = [each for each in above if not _looks_further(each)]
        by_workload = compile_policy({**document, "rules": [*settled, _of_workload(rule)]})
        before = compile_policy({**document, "rules": [_of_workload(each) for each in looking if each is not rule]})
        for pk, facts in _workloads(user, timezone.now().date() - dt.timedelta(days=DAYS)):
            self._go_on()
            if by_workload.decide(facts).rule == self._rule:
                self._workloads[pk] = facts
                self._looks.append(_looks_further(rule) or before.decide(facts).rule != DEFAULT_RULE)

    def of_day(self, day: dt.date) -> int:
        """The events of that day which the rule would decide. Raises TooLong."""
        if not self._workloads:
            return 0
        rows = self._rows(day)
        return sum(self._of_batch(rows[start : start + BATCH]) for start in range(0, len(rows), BATCH))

    def _of_batch(self, rows: Sequence[Row]) -> int:
        self._go_on()
        self._load({row[1] for row in rows})
        return sum(int(row[-1]) for row in rows if self._decides(row))

    def _decides(self, row: Row) -> bool:
        workload, file, *values, _ = row
        event = self._workloads[workload] | self._files[file] | EVENT_ROWS.facts(values)
        return bool(self._policy.decide(event).rule == self._rule)

    def _load(self, files: set[int]) -> None:
        binaries = Binary.objects.visible_to(self._user).filter(pk__in=files - self._files.keys())
        for pk, *values in binaries.values_list("pk", *BINARY_ROWS.columns):
            self._files[pk] = BINARY_ROWS.facts(values)

    def _rows(self, day: dt.date) -> list[Row]:
        """The day's events, grouped; the database gives up when the time is up."""
        with at_most(self._deadline - time.monotonic()), connection.cursor() as cursor:
            cursor.execute(EVENTS, [*self._columns, list(self._workloads), self._looks, day, STRANGER, MOST_GROUPS])
            rows: list[Row] = cursor.fetchall()
        if len(rows) == MOST_GROUPS:
            raise TooLong
        return rows

    def _go_on(self) -> None:
        if time.monotonic() > self._deadline:
            raise TooLong


def _looks_further(rule: Rule) -> bool:
    """Whether it hangs on more than the workload if the rule decides."""
    passes_on = bool(rule["allow_list"]) and rule["unlisted"] == "next_rule"
    return bool(rule["enabled"]) and (passes_on or bool(rule["process_scope"]) or _asks([rule], EVENT_PROPERTIES))


def _of_workload(rule: Rule) -> Rule:
    """The rule as far as it looks at the workload."""
    scope = [condition for condition in rule["resource_scope"] if condition["property"] in WORKLOAD_PROPERTIES]
    return {**rule, "resource_scope": scope, "process_scope": [], "allow_list": []}


def _asks(rules: Sequence[Rule], names: Sequence[str]) -> bool:
    return any(
        each["property"] in names for rule in rules for each in (*rule["resource_scope"], *rule["process_scope"])
    )


def _asks_file(rules: Sequence[Rule]) -> bool:
    return any(rule["allow_list"] for rule in rules) or _asks(rules, FILE_PROPERTIES)


def _workloads(user: User, first: dt.date) -> Iterator[tuple[int, Facts]]:
    """Yield the workloads seen since that day, as flat events without file, pod and parent."""
    seen = Workload.objects.visible_to(user).filter(last_seen_on__gte=first)
    for pk, *values in seen.values_list("pk", *WORKLOAD_ROWS.columns).iterator(BATCH):
        yield pk, WORKLOAD_ROWS.facts(values)
