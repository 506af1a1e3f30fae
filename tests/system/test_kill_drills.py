"""kill -9 of every process while events flow and policies are saved: nothing lost, nothing twice."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from sensor.policy import default_document
from tests.system.stack import SensorProcess, Stack, eventually, stop_all

pytestmark = pytest.mark.services

ACCOUNT = "123456789012"
SENSORS = 3
EXECS = 400
"""Per sensor: each a file of its own, half in kube-system (alerts), half ignored (counted in summaries)."""
SECONDS = 20.0
FAR_AWAY = 3_600.0
"""When the recording's last exec is due: no sensor is through before the test is."""


def _recording(directory: Path, sensor: int) -> Path:
    times = [*(SECONDS * number / EXECS for number in range(EXECS)), FAR_AWAY]
    lines = [json.dumps(_observation(sensor, number, at)) for number, at in enumerate(times)]
    file = directory / f"recording-{sensor}.jsonl"
    file.write_text("\n".join(lines) + "\n")
    return file


def _observation(sensor: int, number: int, at: float) -> dict[str, Any]:
    namespace = "kube-system" if number % 2 else "shop"
    path = f"/tmp/drill-{sensor}-{number}"
    process = {"name": path.rsplit("/", 1)[1], "path": path, "argv": [path], "pid": 7, "hash_status": "gone"}
    container = {"id": f"{sensor:064x}", "name": "app", "image_name": "docker.io/library/nginx:1.27"}
    container |= {"namespace": namespace, "pod_name": f"web-{sensor}"}
    return {"at": at, "kind": "new_file", "process": process, "container": container}


@pytest.fixture
def sensors(stack: Stack, directory: Path) -> Iterator[list[SensorProcess]]:
    """Enrolled, replaying at the same time."""
    made = [SensorProcess(stack, ACCOUNT, "drill", f"node-{i}", directory / f"state-{i}") for i in range(SENSORS)]
    for number, sensor in enumerate(made):
        sensor.enrol()
        _start(sensor, _recording(directory, number))
    yield made
    stop_all(made)


def _start(sensor: SensorProcess, recording: Path) -> None:
    options = ["--capture", "replay", "--replay", str(recording), "--window-seconds", "3"]
    sensor.start(*options, "--heartbeat-seconds", "2", "--poll-seconds", "3")


def _patiently(call: Callable[[], Any], what: str) -> Any:
    """Try until the portal, or what is behind it, is back."""

    def attempt() -> Any:
        try:
            return call()
        except (httpx.HTTPError, psycopg.Error):
            return None

    return eventually(attempt, what, seconds=60)


def _save(stack: Stack, name: str) -> int:
    """A version with one more rule; its number."""
    with stack.api() as api:

        def save() -> int | None:
            latest = api.get("policy/versions/", params={"limit": 1}).raise_for_status().json()["results"][0]["number"]
            document = api.get(f"policy/versions/{latest}/").raise_for_status().json()["document"]
            if not any(rule["name"] == name for rule in document["rules"]):
                document["rules"].append({**default_document()["rules"][0], "id": _uuid(name), "name": name})
                body = {"document": document, "base": latest, "comment": name}
                latest = api.post("policy/versions/", json=body).raise_for_status().json()["number"]
            return int(latest)

        return int(_patiently(save, f"save {name}"))


def _uuid(name: str) -> str:
    return f"00000000-0000-4000-8000-{sum(name.encode()):012d}"


def _applied(stack: Stack) -> list[int]:
    rows = stack.rows("SELECT applied_number FROM fleet_sensor WHERE state = 'live' ORDER BY node")
    return [number for (number,) in rows]


def _stored(stack: Stack) -> tuple[int, int, int]:
    """(rows, distinct ids, execs counted)"""
    query = "SELECT count(*), count(DISTINCT event_id), coalesce(sum(count), 0)::bigint FROM alerts_driftevent"
    return stack.rows(query)[0]


def test_nothing_is_lost_or_doubled_when_everything_is_killed_once(
    stack: Stack, sensors: list[SensorProcess], directory: Path
) -> None:
    eventually(lambda: _stored(stack)[0] > 5, "the first events")
    names = ["worker", "gateway", "valkey", "postgres", "web"]
    random.Random(20).shuffle(names)
    for round_, name in enumerate(names):
        stack.kill(name)
        if round_ == 2:
            sensors[0].kill()
            _start(sensors[0], directory / "recording-0.jsonl")
        _save(stack, f"drill {name}")
        time.sleep(1)
    last = _save(stack, "drill end")

    _patiently(lambda: set(_applied(stack)) == {last}, f"every sensor applied version {last}")
    _patiently(lambda: _stored(stack)[2] >= SENSORS * EXECS, "every exec is counted")
    for sensor in sensors:
        assert sensor.stop() == 0, sensor.log.read_text()

    rows, ids, execs = _stored(stack)
    assert (rows, execs) == (ids, SENSORS * EXECS)
    alerts = "SELECT count(*), sum(count)::bigint FROM alerts_alertpulse"
    assert stack.rows(alerts) == [(SENSORS * EXECS // 2, SENSORS * EXECS // 2)]
    states = dict(
        stack.rows(
            "SELECT state, count(*) FROM fleet_delivery d JOIN fleet_rollout r ON r.id = d.rollout_id "
            "WHERE r.version_id = %s GROUP BY 1",
            last,
        )
    )
    assert states == {"applied": SENSORS}
