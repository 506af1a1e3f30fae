"""A noise budget on a planted estate, from stored events on; every claim is checked line by line."""

from __future__ import annotations

from typing import Any

import pytest

from bench.noise_estate import LoadedEstate, judge, load
from bench.noise_planted import lines
from drift.backtest.domain.noise_evidence import ON_AVERAGE, NoiseBudget
from drift.backtest.queries import stored_events as stored
from drift.backtest.queries.noise_budget import noise_budget
from sensor.policy import check
from sensor.policy.lint import lint
from tests.unit.drift.backtest.noise_samples import ALERT_ON_ALL

pytestmark = [pytest.mark.services, pytest.mark.django_db]


@pytest.fixture
def planted(db: None) -> LoadedEstate:
    return load(lines())


def test_the_planted_estate_is_quiet_and_hides_no_attack(
    planted: LoadedEstate, monkeypatch: pytest.MonkeyPatch
) -> None:
    budget = NoiseBudget(5, measure=ON_AVERAGE)
    progress: list[int] = []

    def report(done: int) -> bool:
        progress.append(done)
        return True

    result, document = noise_budget(ALERT_ON_ALL, budget, planted.first_day, planted.until, report)
    judged = judge(planted.execs, document, result["days"])
    before = judge(planted.execs, ALERT_ON_ALL, result["days"])
    assert (result["before"], result["after"]) == (before.days, judged.days)
    assert result["reached"]
    assert sum(before.days) / 30 > 450
    assert sum(judged.days) / 30 <= 5
    assert len(result["changes"]) <= 10
    assert result["at_least"] == len(result["changes"])
    assert judged.absorbed == []
    assert sum(1 for truth in judged.by_truth if truth.startswith("attack")) == 50
    assert check(document) == []
    assert lint(document) == []
    assert progress == sorted(progress)
    # As on an estate with more files than are kept.
    monkeypatch.setattr(stored, "KEPT_BATCHES", 0)
    again = noise_budget(ALERT_ON_ALL, budget, planted.first_day, planted.until, lambda _: True)
    assert again == (result, document)


def test_the_refusals_explain_every_alert_that_stays(planted: LoadedEstate) -> None:
    budget = NoiseBudget(0)
    result, _ = noise_budget(ALERT_ON_ALL, budget, planted.first_day, planted.until, lambda _: True)
    refused: dict[str, Any] = {each["reason"]: each["alerts"] for each in result["refused"]}
    assert sum(refused.values()) == sum(result["after"]) == sum(result["refused_days"])
    assert {"memory", "person", "true_positive", "rare", "young"} <= refused.keys()
    assert not result["reached"]
