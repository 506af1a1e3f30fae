"""`python -m bench.noise`: noise budgets on a planted estate, beside the backtest of their plans.

NOISE_ESTATES names more estates, as files of JSON lines (bench.noise_estate), separated by commas. Each is judged line
by line: alerts a day before and after, and the attacks that the plan's policy hides.
"""

from __future__ import annotations

import os
import statistics
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from bench import noise_planted
from bench.backtest import timed
from bench.ingest_portal import portal
from bench.noise_estate import LoadedEstate, judge, load, read_lines

ALERTS = 5
RUNS = 5
GOAL = 3.0
Json = dict[str, Any]


def main() -> None:
    """Measure and print; a minute on two cores."""
    estates: list[tuple[str, Iterable[Json]]] = [("planted", noise_planted.lines())]
    estates += [(path, read_lines(Path(path))) for path in os.environ.get("NOISE_ESTATES", "").split(",") if path]
    with portal():
        for name, lines in estates:
            _clear()
            loaded = load(lines)
            _analyze()
            for changing in (False, True):
                _measure(name, loaded, changing=changing)


def _clear() -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE alerts_driftevent")
        for table in ("alerts_alert", "alerts_workload", "alerts_binary", "alerts_provenance", "fleet_sensorloss"):
            cursor.execute(f"DELETE FROM {table}")


def _analyze() -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE alerts_driftevent")
        cursor.execute("ANALYZE alerts_workload, alerts_binary, alerts_provenance")


def _measure(name: str, loaded: LoadedEstate, *, changing: bool) -> None:
    from drift.backtest.domain.noise_evidence import ON_AVERAGE, NoiseBudget
    from drift.backtest.queries.comparison import compare
    from drift.backtest.queries.noise_budget import noise_budget
    from sensor.policy import normalise

    policy = normalise({"schema": 1, "rules": [], "default": {"action": "alert"}})
    budget = NoiseBudget(ALERTS, measure=ON_AVERAGE, changing=changing)
    found: list[Any] = []
    planned, tested = [], []
    for _ in range(RUNS):
        planned.append(
            timed(lambda: found.append(noise_budget(policy, budget, loaded.first_day, loaded.until, lambda _: True)))
        )
        document = found[-1][1]
        tested.append(
            timed(lambda: compare(policy, document, loaded.first_day, loaded.until, lambda _: True))  # noqa: B023
        )
    result, document = found[-1]
    before, after = (judge(loaded.execs, each, result["days"]) for each in (policy, document))
    assert (result["before"], result["after"]) == (before.days, after.days)
    plan, test = statistics.median(planned), statistics.median(tested)
    days = result["days"]
    attacks = {truth for truth in before.by_truth if truth.startswith("attack:")}
    counts = f"{sum(before.days) / days:.0f} → {sum(after.days) / days:.1f} alerts a day"
    changes = f"{len(result['changes'])} changes (at least {result['at_least']})"
    refused = f"refused {sum(result['refused_days']) / days:.1f} a day"
    absorbed = f"{len(after.absorbed)} of {len(attacks)} attacks absorbed"
    time = f"{plan:.2f} s = {plan / test:.1f} × a backtest of {test:.2f} s (goal ≤ {GOAL:.0f})"
    print(f"{name}{', changing' if changing else ''}: {counts}, {changes}, {refused}; {absorbed}; {time}")


if __name__ == "__main__":
    main()
