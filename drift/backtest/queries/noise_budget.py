"""Find and check the plan of a noise budget, on one snapshot of the database."""

from __future__ import annotations

import datetime as dt
import gc
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from django.db import connection, transaction

from drift.backtest.domain.noise_evidence import NoiseBudget, NoiseEstate
from drift.backtest.domain.noise_plan import NoisePlan, plan
from drift.backtest.domain.noise_result import NoiseResult, noise_result
from drift.backtest.errors import NoiseUnconfirmed
from drift.backtest.queries.comparison import Cancelled
from drift.backtest.queries.noise_check import checked_days
from drift.backtest.queries.noise_events import first_event_day, noise_estate

logger = logging.getLogger(__name__)
READ, PLANNED, CHECKED = 45, 60, 98
"""The progress in percent at which each step ends."""


def noise_budget(
    document: Mapping[str, Any],
    budget: NoiseBudget,
    first_day: dt.date,
    until: dt.datetime,
    report: Callable[[int], bool],
) -> tuple[NoiseResult, dict[str, Any]]:
    """Return the plan for a policy on the events observed from `first_day` until `until`, and its document.

    The period begins with the first day of which an event is stored. Raises NoiseUnconfirmed where a backtest counts
    otherwise than the plan, TooMuchNoise, Cancelled.
    """
    is_own = not connection.in_atomic_block
    with _without_collections(), transaction.atomic():
        if is_own:
            # Evidence and check see the same events, while ingest continues.
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        start = first_event_day(first_day)
        if start is None or start > until.date():
            estate = NoiseEstate(until.date(), until)
            found = plan(estate, document, budget)
        else:
            estate = noise_estate(document, start, until, lambda done: report(done * READ // 100))
            estate.proceed = lambda: _proceed(report, READ)
            found = plan(estate, document, budget)
            _proceed(report, PLANNED)
            _confirm(document, found, budget, estate, report)
    return noise_result(estate, budget, found), found.document


def _proceed(report: Callable[[int], bool], progress: int) -> None:
    """Report the progress. Raises Cancelled."""
    if not report(progress):
        raise Cancelled


@contextmanager
def _without_collections() -> Iterator[None]:
    """Run the block without the collector of cycles, which finds none in some 100,000 rows and walks them each time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _confirm(
    document: Mapping[str, Any],
    found: NoisePlan,
    budget: NoiseBudget,
    estate: NoiseEstate,
    report: Callable[[int], bool],
) -> None:
    """Run the backtest of the plan's document, and compare. Raises NoiseUnconfirmed, Cancelled."""
    counted = checked_days(
        document,
        found.document,
        (estate.first_day, estate.until),
        budget.place,
        lambda done: report(PLANNED + done * (CHECKED - PLANNED) // 100),
    )
    if (counted.before, counted.after) != (found.before, found.after) or counted.gone_elsewhere or counted.appear:
        logger.error("a noise budget's plan says %s → %s, its backtest %s", found.before, found.after, counted)
        raise NoiseUnconfirmed
