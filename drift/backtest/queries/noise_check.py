"""Check a noise budget's plan by a backtest: what it says is gone, on each day, is what the backtest finds gone."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from django.db import connection

from drift.backtest.domain.noise_evidence import NoisePlace
from drift.backtest.domain.transitions import TransitionTable
from drift.backtest.queries import stored_events as stored
from drift.backtest.queries.comparison import Comparison

_BY_DAY: Final = """
    SELECT day - %s::date, is_inside, count(*) FILTER (WHERE before > 0), count(*) FILTER (WHERE after > 0),
        count(*) FILTER (WHERE before > 0 AND after = 0), count(*) FILTER (WHERE before = 0 AND after > 0)
    FROM (
        SELECT found.day, found.fingerprint, max(level.before) AS before, max(level.after) AS after,
            bool_or((%s::bigint IS NULL OR cluster.environment_id = %s) AND (%s::bigint IS NULL OR cluster.id = %s)
                AND (%s = '' OR workload.namespace = %s)) AS is_inside
        FROM backtest_found AS found
        JOIN unnest(%s::int[], %s::int[], %s::int[]) AS level (transition, before, after) USING (transition)
        JOIN alerts_workload AS workload ON workload.id = found.workload_id
        JOIN fleet_cluster AS cluster ON cluster.id = workload.cluster_id
        WHERE found.fingerprint IS NOT NULL GROUP BY found.day, found.fingerprint
    ) AS alert GROUP BY 1, 2
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
) -> CheckedDays:
    """Compare two documents on the whole estate, as a backtest does, and count by day. Raises Cancelled."""
    first_day, until = period
    table = TransitionTable(before, after)
    with stored.snapshot():
        comparison = Comparison(table, first_day, until, report, viewer=None, by_day=True)
        comparison.count(comparison.classify())
        levels = [transition.levels for transition in table.transitions]
        values = [
            first_day,
            *(place.environment, place.environment, place.cluster, place.cluster, place.namespace, place.namespace),
            *(list(range(len(levels))), [first for first, _ in levels], [second for _, second in levels]),
        ]
        with connection.cursor() as cursor:
            cursor.execute(_BY_DAY, values)
            rows = cursor.fetchall()
    days = (until.date() - first_day).days + 1
    counted = CheckedDays([0] * days, [0] * days, 0, 0)
    elsewhere = appear = 0
    for day, is_inside, first, second, gone, new in rows:
        if is_inside:
            counted.before[day], counted.after[day] = first, second
        else:
            elsewhere += gone
        appear += new
    return CheckedDays(counted.before, counted.after, elsewhere, appear)
