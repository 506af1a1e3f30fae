"""Concurrent batches, and a concurrent reviewer."""

from __future__ import annotations

import json
from typing import Any

import pytest

from drift.alerts.actions.ingest import ingest
from drift.alerts.models import Alert, Binary, DriftEvent, Sighting, Workload
from tests.unit.at_once import at_once
from tests.unit.drift.alerts.conftest import Estate, event, make_estate

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def estate(transactional_db: None) -> Estate:
    return make_estate()


def batch(events: list[dict[str, Any]]) -> list[bytes]:
    return [json.dumps(each).encode() for each in events]


def test_concurrent_batches_of_one_fingerprint_make_one_open_alert(estate: Estate) -> None:
    batches = [batch([event() for _ in range(20)]) for _ in range(6)]

    answers = at_once(*(lambda b=b, n=n: ingest(estate.sensors[n % 2], b) for n, b in enumerate(batches)))

    assert [answer.accepted for answer in answers] == [20] * 6
    assert Alert.objects.get().pulse.count == 120


def test_many_fingerprints_in_different_orders_never_deadlock(estate: Estate) -> None:
    paths = [f"/tmp/{n}" for n in range(30)]
    forwards = [batch([event(process__path=path) for path in paths]) for _ in range(3)]
    backwards = [batch([event(process__path=path) for path in reversed(paths)]) for _ in range(3)]

    at_once(*(lambda b=b, n=n: ingest(estate.sensors[n % 2], b) for n, b in enumerate([*forwards, *backwards])))

    assert set(Alert.objects.values_list("pulse__count", flat=True)) == {6}
    assert Alert.objects.count() == 30


def test_a_cached_workload_that_was_deleted_is_stored_again_with_the_batch(estate: Estate) -> None:
    ingest(estate.sensors[0], batch([event(decision={**event()["decision"], "action": "ignore"})]))
    Sighting.objects.all().delete()
    Workload.objects.all().delete()
    Binary.objects.all().delete()

    assert ingest(estate.sensors[0], batch([event(), event()])).accepted == 2

    stored = DriftEvent.objects.exclude(action="ignore").values_list("workload_id", "binary_id")
    assert set(stored) == {(Workload.objects.get().pk, Binary.objects.get().pk)}
    assert Alert.objects.get().pulse.count == 2


def test_one_batch_sent_twice_concurrently_is_stored_once(estate: Estate) -> None:
    same = batch([event() for _ in range(50)])

    answers = at_once(*(lambda: ingest(estate.sensors[0], same) for _ in range(4)))

    assert sum(answer.accepted for answer in answers) == 50
    assert DriftEvent.objects.count() == 50
    assert Alert.objects.get().pulse.count == 50
