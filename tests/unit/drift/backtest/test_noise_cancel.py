"""A noise budget that is cancelled ends in the middle of what it does."""

from __future__ import annotations

import pytest

from bench.noise_estate import LoadedEstate, load
from bench.noise_planted import lines
from drift.backtest.domain.noise_evidence import PACE, NoiseBudget, NoiseEstate
from drift.backtest.domain.noise_plan import plan
from drift.backtest.queries.comparison import Cancelled
from drift.backtest.queries.noise_budget import PLANNED, READ, noise_budget
from tests.unit.drift.backtest.noise_samples import ALERT_ON_ALL, daily, read_estate


class Stop(Exception):
    """Raised in place of a cancelled run."""


def estate_of_many_files() -> NoiseEstate:
    """Return 60 files that a workload runs each day, and 20 that a new build makes each day."""
    hooks = [each for number in range(60) for each in daily(path=f"/opt/hooks/h{chr(97 + number % 26)}{number}")]
    builds = [
        each for day in range(30) for number in range(20) for each in daily([day], sha256=f"{day * 100 + number:064x}")
    ]
    return read_estate([*hooks, *builds])


def test_the_search_stops_wherever_it_is() -> None:
    estate = estate_of_many_files()
    asked: list[None] = []
    estate.proceed = lambda: asked.append(None)
    plan(estate, ALERT_ON_ALL, NoiseBudget(1, changing=True))
    assert len(asked) >= 12
    for last in range(1, len(asked) + 1):
        left = last

        def proceed() -> None:
            nonlocal left
            left -= 1
            if not left:
                raise Stop

        estate.proceed = proceed
        with pytest.raises(Stop):
            plan(estate, ALERT_ON_ALL, NoiseBudget(1, changing=True))


def test_it_is_asked_again_after_some_items() -> None:
    estate = read_estate(daily())
    asked: list[None] = []
    estate.proceed = lambda: asked.append(None)
    assert list(estate.paced(range(3 * PACE))) == list(range(3 * PACE))
    assert len(asked) == 3


@pytest.mark.services
@pytest.mark.django_db
def test_a_run_that_is_cancelled_while_it_searches_ends_without_the_check() -> None:
    planted: LoadedEstate = load(lines())
    reported: list[int] = []

    def report(done: int) -> bool:
        reported.append(done)
        return reported.count(READ) < 4

    with pytest.raises(Cancelled):
        noise_budget(ALERT_ON_ALL, NoiseBudget(5), planted.first_day, planted.until, report)
    assert reported.count(READ) == 4
    assert PLANNED not in reported
