"""Check a noise budget's plan by a backtest: what it says is gone, on each day, is what the backtest finds gone."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from django.db import connection

from drift.backtest.domain.noise_evidence import NoisePlace, day_numbers
from drift.backtest.domain.transitions import TransitionTable
from drift.backtest.queries import stored_events as stored
from drift.backtest.queries.comparison import Comparison

_DAYS: Final = """
    SELECT is_inside, before, after, count(*) FROM (
        SELECT found.fingerprint, coalesce(bit_or(found.days) FILTER (WHERE level.before > 0), 0) AS before,
            coalesce(bit_or(found.days) FILTER (WHERE level.after > 0), 0) AS after,
            bool_or((%s::bigint IS NULL OR cluster.environment_id = %s) AND (%s::bigint IS NULL OR cluster.id = %s)
                AND (%s = '' OR workload.namespace = %s)) AS is_inside
        FROM backtest_found AS found
        JOIN unnest(%s::int[], %s::int[], %s::int[]) AS level (transition, before, after) USING (transition)
        JOIN alerts_workload AS workload ON workload.id = found.workload_id
        JOIN fleet_cluster AS cluster ON cluster.id = workload.cluster_id
        WHERE found.fingerprint IS NOT NULL GROUP BY found.fingerprint
    ) AS alert GROUP BY 1, 2, 3
"""


@dataclass(frozen=True)
class CheckedDays:
    """What a backtest counts: the place's alerts of each day before and after, and changes outside of the place.

    `appear` counts alerts of a day that only the document raises, anywhere.
    """

    before: list[int]
    after: list[int]
    gone_elsewhere: int
    appear: int


def checked_days(
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    period: tuple[dt.date, dt.datetime],
    place: NoisePlace,
    report: Callable[[int], bool],
    *,
    files: stored.RememberedFiles,
    beside: Callable[[], object],
) -> CheckedDays:
    """Compare two documents on the whole estate, as a backtest does, and count by day.

    In a `snapshot`. `beside` is called while PostgreSQL counts. Raises Cancelled.
    """
    first_day, until = period
    table = TransitionTable(before, after)
    stored.empty()
    comparison = Comparison(table, first_day, until, report, viewer=None, by_day=True, files=files)
    comparison.count(comparison.classify(), beside)
    levels = [transition.levels for transition in table.transitions]
    values = [
        *(place.environment, place.environment, place.cluster, place.cluster, place.namespace, place.namespace),
        *(list(range(len(levels))), [first for first, _ in levels], [second for _, second in levels]),
    ]
    with connection.cursor() as cursor:
        cursor.execute(_DAYS, values)
        rows = cursor.fetchall()
    days = (until.date() - first_day).days + 1
    counted = CheckedDays([0] * days, [0] * days, 0, 0)
    elsewhere = appear = 0
    for is_inside, first, second, alerts in rows:
        if is_inside:
            for day in day_numbers(first):
                counted.before[day] += alerts
            for day in day_numbers(second):
                counted.after[day] += alerts
        else:
            elsewhere += (first & ~second).bit_count() * alerts
        appear += (second & ~first).bit_count() * alerts
    return CheckedDays(counted.before, counted.after, elsewhere, appear)
