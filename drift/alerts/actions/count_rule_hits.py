"""Counting what each rule decides: noted with every batch, folded by beat, thinned out once it is old."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable
from typing import Any, Final

from django.db import connection, transaction
from django.utils import timezone
from psycopg import Cursor

from drift.alerts.domain.enriched_events import EnrichedEvent
from drift.alerts.queries import compiled_policies as policies
from sensor.wire import Event

DAYS_KEPT: Final = 8
"""Days told apart: a week's hits, and one to spare. Of the time before only a rule's last day is kept."""
DAYS_REMEMBERED: Final = 366
"""Rules are deleted: no row stays for ever."""
MOST_VERSIONS: Final = 8
"""That a batch may name, the highest numbers: a sensor's backlog spans a few, and each has to be read."""
LOCK: Final = "fold rule hits"
NOTE: Final = """
INSERT INTO alerts_rulehits (day, rule, action, execs, last_at)
SELECT * FROM unnest(%s::date[], %s::text[], %s::text[], %s::bigint[], %s::timestamptz[])
"""
FOLD: Final = """
WITH gone AS (
    DELETE FROM alerts_rulehits WHERE (day, rule, action) IN (
        SELECT day, rule, action FROM alerts_rulehits GROUP BY 1, 2, 3 HAVING count(*) > 1
    ) RETURNING *
)
INSERT INTO alerts_rulehits (day, rule, action, execs, last_at)
SELECT day, rule, action, least(sum(execs), 9223372036854775807)::bigint, max(last_at) FROM gone GROUP BY 1, 2, 3
"""
THIN: Final = """
DELETE FROM alerts_rulehits AS old WHERE day < %s OR day < %s AND EXISTS (
    SELECT FROM alerts_rulehits AS newer WHERE newer.rule = old.rule
    AND (newer.day, newer.last_at, newer.id) > (old.day, old.last_at, old.id)
)
"""
Key = tuple[dt.date, str, str]
Found = dict[tuple[dt.date, str, str, int], tuple[int, dt.datetime]]


def note(cursor: Cursor[tuple[Any, ...]], stored: Iterable[EnrichedEvent]) -> None:
    """Note what these events add, in the transaction that stores them.

    What no rule decided counts for none, and so does what a sensor calls a rule and is none of the version it names.
    """
    alike: dict[tuple[dt.date, str | None, str, int | None], list[Event]] = defaultdict(list)
    for seen in stored:
        event, decision = seen.event, seen.decision
        alike[event.observed_at.date(), decision.rule, decision.action, decision.policy_number].append(event)
    found: Found = {
        (day, rule, action, number): (sum(each.count for each in events), max(each.last_at for each in events))
        for (day, rule, action, number), events in alike.items()
        if rule is not None and number is not None
    }
    if summed := _by_rule(found):
        keys, sums = zip(*summed, strict=True), zip(*summed.values(), strict=True)
        cursor.execute(NOTE, [list(column) for column in (*keys, *sums)], prepare=True)


def _by_rule(found: Found) -> dict[Key, tuple[int, dt.datetime]]:
    """What is of rules that there are, whatever version named them."""
    named = sorted({number for *_, number in found})
    rules = {number: policies.rules_of(number) for number in named[-MOST_VERSIONS:]}
    summed: dict[Key, tuple[int, dt.datetime]] = {}
    for (day, rule, action, number), (execs, last) in found.items():
        if rule in rules.get(number, ()):
            had, before = summed.get((day, rule, action), (0, last))
            summed[day, rule, action] = (had + execs, max(before, last))
    return summed


def fold() -> None:
    """Make one row of all that are of the same day, rule and action. Beside another fold it does nothing."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 0))", [LOCK])
        if cursor.fetchone() == (True,):
            cursor.execute(FOLD)


def thin(now: dt.datetime | None = None) -> int:
    """Drop the rows of days past DAYS_KEPT, but for the last of each rule within DAYS_REMEMBERED; returns how many."""
    today = (now or timezone.now()).date()
    with connection.cursor() as cursor:
        cursor.execute(THIN, [today - dt.timedelta(days=days - 1) for days in (DAYS_REMEMBERED, DAYS_KEPT)])
        return int(cursor.rowcount)
