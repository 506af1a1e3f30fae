"""Find and check the plan of a noise budget, on one snapshot of the database."""

from __future__ import annotations

import datetime as dt
import gc
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any

from drift.backtest.domain.noise_evidence import NoiseBudget, NoiseEstate
from drift.backtest.domain.noise_plan import NoisePlan, plan
from drift.backtest.domain.noise_result import NoiseResult, noise_result
from drift.backtest.errors import NoiseUnconfirmed
from drift.backtest.queries import stored_events as stored
from drift.backtest.queries.comparison import Cancelled
from drift.backtest.queries.noise_check import checked_days
from drift.backtest.queries.noise_events import first_event_day, noise_estate

logger = logging.getLogger(__name__)
READ, PLANNED, CHECKED = 45, 60, 98
"""The progress in percent at which each step ends."""


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


# What the plan was made of is gone when the collector returns, which would walk it.
@_without_collections()
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
    # Evidence and check see the same events, while ingest continues.
    with stored.snapshot():
        start = first_event_day(first_day)
        if start is None or start > until.date():
            estate = NoiseEstate(until.date(), until)
            found = plan(estate, document, budget)
        else:
            files = stored.RememberedFiles(start)
            estate = noise_estate(document, start, until, lambda done: report(done * READ // 100), files=files)
            estate.proceed = lambda: _proceed(report, READ)
            found = plan(estate, document, budget)
            _proceed(report, PLANNED)
            result = cache(lambda: noise_result(estate, budget, found))
            _confirm(document, found, budget, estate, report, files=files, beside=result)
            return result(), found.document
    return noise_result(estate, budget, found), found.document


def _proceed(report: Callable[[int], bool], progress: int) -> None:
    """Report the progress. Raises Cancelled."""
    if not report(progress):
        raise Cancelled


def _confirm(
    document: Mapping[str, Any],
    found: NoisePlan,
    budget: NoiseBudget,
    estate: NoiseEstate,
    report: Callable[[int], bool],
    *,
    files: stored.RememberedFiles,
    beside: Callable[[], object],
) -> None:
    """Run the backtest of the plan's document, and compare. Raises NoiseUnconfirmed, Cancelled."""
    counted = checked_days(
        document,
        found.document,
        (estate.first_day, estate.until),
        budget.place,
        lambda done: report(PLANNED + done * (CHECKED - PLANNED) // 100),
        files=files,
        beside=beside,
    )
    if (counted.before, counted.after) != (found.before, found.after) or counted.gone_elsewhere or counted.appear:
        logger.error("a noise budget's plan says %s → %s, its backtest %s", found.before, found.after, counted)
        raise NoiseUnconfirmed
