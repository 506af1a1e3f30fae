"""How much memory and time a sender can take before any event is stored."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from typing import Any

import pytest

from drift.alerts.actions.cluster_slots import cluster_slots
from drift.alerts.api import events
from drift.alerts.forms import event_batch
from tests.unit.drift.alerts.conftest import Estate, event

pytestmark = [pytest.mark.services, pytest.mark.django_db]
URL = "/api/v1/sensors/me/events"


def send(estate: Estate, text: bytes) -> Any:
    headers = {"Content-Encoding": "gzip"}
    return estate.client().post(URL, gzip.compress(text), content_type="application/json", headers=headers)


def test_a_list_of_millions_takes_no_more_memory_than_its_bytes(estate: Estate) -> None:
    bomb = gzip.compress(b'{"events":[' + b"0," * (event_batch.MAX_DECOMPRESSED // 2 - 10) + b"0]}")
    tracemalloc.start()
    answer = estate.client().post(URL, bomb, content_type="application/json", headers={"Content-Encoding": "gzip"})
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
    assert peak < 4 * event_batch.MAX_DECOMPRESSED


def test_one_event_full_of_commas_is_accepted(estate: Estate) -> None:
    assert send(estate, json.dumps({"events": [event(process__argv=["," * 4_000])]}).encode()).status_code == 200


def test_a_batch_that_is_still_uploading_takes_none_of_its_cluster_s_slots(
    estate: Estate, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = []

    def slowly(request: Any) -> Any:
        running.append(cluster_slots._taken[estate.sensors[0].cluster_id])
        return event_batch.read_events(request)

    monkeypatch.setattr(events, "read_events", slowly)

    assert send(estate, json.dumps({"events": [event()]}).encode()).status_code == 200
    assert running == [0]


def test_a_batch_that_is_nested_too_deeply_is_rejected(estate: Estate) -> None:
    deep = json.dumps(event(x=None)).replace('"x": null', '"x": ' + "[" * 15_000 + "]" * 15_000)

    answer = send(estate, f'{{"events": [{deep}]}}'.encode())

    assert (answer.status_code, answer.json()["code"]) == (400, "bad_body")
