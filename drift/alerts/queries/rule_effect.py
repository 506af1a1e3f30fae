"""How many of the last days' execs one rule of a policy document would decide, at its position in the document.

Most workloads are settled by their own facts; only for the others are files, parents and pods read. Whole days are
counted back from today until the time is up.
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
from drift.alerts.domain.rule_inputs import depends_beyond_workload, depends_on_file, has_property, workload_part
from drift.alerts.models import Binary, Provenance, Workload
from drift.alerts.queries.compiled_policies import UNIDENTIFIED
from drift.alerts.queries.query_limits import StatementTimeout, statement_timeout
from drift.alerts.queries.rule_hits import DAYS, are_hits_known, stored_days, visible_hits
from sensor.policy import DEFAULT_RULE, compile_policy
from sensor.policy.flat_event import BINARY_ROWS, EVENT_ROWS, PROVENANCE_ROWS, WORKLOAD_ROWS
from sensor.policy.properties import EVENT_PROPERTIES, PROVENANCE_PROPERTIES

SECONDS: Final = 2.5
"""How long counting may take."""
BATCH: Final = 2_000
MAX_GROUPS: Final = 200_000
"""Groups of events of one day; a day with more takes too long."""
_COLUMNS: Final = ", ".join(f"CASE WHEN look AND %s THEN {column} ELSE '' END" for column in EVENT_ROWS.columns)
_GROUPS: Final = ", ".join(str(1 + n) for n in range(3 + len(EVENT_ROWS.columns)))
EVENTS: Final = f"""
SELECT workload_id, CASE WHEN look AND %s THEN binary_id ELSE 0 END,
    CASE WHEN look AND %s THEN provenance_id ELSE 0 END, {_COLUMNS}, sum(count)
FROM alerts_driftevent JOIN unnest(%s::bigint[], %s::boolean[]) AS evaluated (workload, look) ON workload = workload_id
WHERE observed_on = %s AND reason <> %s
    AND sensor_id NOT IN (SELECT id FROM fleet_sensor WHERE quarantined_at IS NOT NULL) GROUP BY {_GROUPS} LIMIT %s
"""  # noqa: S608 - columns of the table of properties
ALL_EVENTS: Final = """
SELECT coalesce(sum(count), 0) FROM alerts_driftevent
WHERE observed_on = %s AND workload_id = ANY(%s::bigint[]) AND rule <> '' AND reason <> %s
"""
Document = Mapping[str, Any]
Facts = dict[str, Any]
EventGroup = tuple[Any, ...]
"""Workload, file and provenance (0: not needed), the values of EVENT_ROWS ("": not needed), and the executions."""


@dataclass(frozen=True)
class RuleEffect:
    """Of the `total` executions of the last `days` days, the rule would decide `count`."""

    count: int
    total: int
    days: int

    @property
    def is_complete(self) -> bool:
        """Whether every day of which events are stored was counted."""
        return self.days == stored_days()


def rule_effect(user: User, document: Document, rule_id: str, seconds: float = SECONDS) -> RuleEffect:
    """Return how many stored events of the last DAYS the rule would decide.

    Of fewer days if counting exceeds `seconds`.
    """
    order = [rule["id"] for rule in document["rules"]]
    # The rules below it cannot change what it decides.
    upto = {**document, "rules": document["rules"][: order.index(rule_id) + 1]}
    today = timezone.now().date()
    count = total = days = 0
    try:
        counter = _Counter(user, upto, time.monotonic() + seconds)
        for back in range(stored_days()):
            day = today - dt.timedelta(days=back)
            of_day, all_of_day = counter.count_day(day), 0 if are_hits_known(user) else counter.count_all(day)
            count, total, days = count + of_day, total + all_of_day, days + 1
    except StatementTimeout:
        pass
    if are_hits_known(user):
        total = _total(user, today - dt.timedelta(days=days - 1))
    return RuleEffect(count, total, days)


def _total(user: User, first: dt.date) -> int:
    rows = visible_hits(user).filter(day__gte=first)
    return int(rows.aggregate(execs=Sum("execs", default=0))["execs"])


class _Counter:
    """Counts what the last rule of a document decides, in the workloads where it may decide at all."""

    def __init__(self, user: User, document: Document, deadline: float) -> None:
        *above, rule = document["rules"]
        self._user, self._rule, self._deadline = user, rule["id"], deadline
        self._policy = compile_policy(document)
        looking = [each for each in document["rules"] if depends_beyond_workload(each)]
        self._columns = [
            depends_on_file(looking),
            has_property(looking, PROVENANCE_PROPERTIES),
            *(has_property(looking, [name]) for name in EVENT_PROPERTIES),
        ]
        self._seen: list[int] = []
        self._workloads: dict[int, Facts] = {}
        self._looks: list[bool] = []
        self._files: dict[int, Facts] = {0: {}}
        self._provenances: dict[int, Facts] = {0: {}}
        settled = [each for each in above if not depends_beyond_workload(each)]
        by_workload = compile_policy({**document, "rules": [*settled, workload_part(rule)]})
        before = compile_policy({**document, "rules": [workload_part(each) for each in looking if each is not rule]})
        for pk, facts in seen_workloads(user, timezone.now().date() - dt.timedelta(days=DAYS)):
            self._check_deadline()
            self._seen.append(pk)
            if by_workload.decide(facts).rule == self._rule:
                self._workloads[pk] = facts
                self._looks.append(depends_beyond_workload(rule) or before.decide(facts).rule != DEFAULT_RULE)

    def count_day(self, day: dt.date) -> int:
        """Return how many executions of that day the rule would decide. Raises StatementTimeout."""
        if not self._workloads:
            return 0
        rows = self._rows(day)
        return sum(self._count_batch(rows[start : start + BATCH]) for start in range(0, len(rows), BATCH))

    def count_all(self, day: dt.date) -> int:
        """Return how many executions of that day the user sees. Raises StatementTimeout."""
        with statement_timeout(self._deadline - time.monotonic()), connection.cursor() as cursor:
            cursor.execute(ALL_EVENTS, [day, self._seen, UNIDENTIFIED])
            return int(cursor.fetchone()[0])

    def _count_batch(self, rows: Sequence[EventGroup]) -> int:
        self._check_deadline()
        self._load({row[1] for row in rows}, {row[2] for row in rows})
        return sum(int(row[-1]) for row in rows if self._decides(row))

    def _decides(self, row: EventGroup) -> bool:
        workload, file, provenance, *values, _ = row
        event = self._workloads[workload] | self._files[file] | self._provenances[provenance] | EVENT_ROWS.facts(values)
        return bool(self._policy.decide(event).rule == self._rule)

    def _load(self, files: set[int], provenances: set[int]) -> None:
        binaries = Binary.objects.visible_to(self._user).filter(pk__in=files - self._files.keys())
        for pk, *values in binaries.values_list("pk", *BINARY_ROWS.columns):
            self._files[pk] = BINARY_ROWS.facts(values)
        # Of events in workloads that the user sees.
        missing = Provenance.objects.filter(pk__in=provenances - self._provenances.keys())
        for pk, *values in missing.values_list("pk", *PROVENANCE_ROWS.columns):
            self._provenances[pk] = PROVENANCE_ROWS.facts(values)

    def _rows(self, day: dt.date) -> list[EventGroup]:
        """Return the day's events in groups. The database cancels the statement when the time is up."""
        with statement_timeout(self._deadline - time.monotonic()), connection.cursor() as cursor:
            cursor.execute(EVENTS, [*self._columns, list(self._workloads), self._looks, day, UNIDENTIFIED, MAX_GROUPS])
            rows: list[EventGroup] = cursor.fetchall()
        if len(rows) == MAX_GROUPS:
            raise StatementTimeout
        return rows

    def _check_deadline(self) -> None:
        if time.monotonic() > self._deadline:
            raise StatementTimeout


def seen_workloads(user: User, first: dt.date) -> Iterator[tuple[int, Facts]]:
    """Yield the workloads seen since that day, as flat events without file, pod and parent."""
    seen = Workload.objects.visible_to(user).filter(last_seen_on__gte=first)
    for pk, *values in seen.values_list("pk", *WORKLOAD_ROWS.columns).iterator(BATCH):
        yield pk, WORKLOAD_ROWS.facts(values)
