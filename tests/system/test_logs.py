"""What the programs of the portal write while Redis is away, and how one request is followed through all of them."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.system.parts import Parts
from tests.system.stack import eventually

pytestmark = pytest.mark.services
PROGRAMS = ("web", "gateway", "worker", "beat")
AWAY = 20.0
TOKEN = "dwe_000000000000_wrong"
CLUSTER = {"name": "c", "distribution": "other"}
BODY = {"token": TOKEN, "cluster": CLUSTER, "node": "n", "sensor_version": "0"}
REQUEST_ID = "from-our-proxy-0001"


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Parts]:
    made = Parts(tmp_path)
    made.env |= {"LOG_FORMAT": "json", "ACCESS_LOG": "true", "TRUSTED_PROXIES": "1"}
    made.prepare()
    yield made
    made.stop()


def records(parts: Parts, program: str) -> list[dict[str, Any]]:
    """What a program has written: every line is one JSON object."""
    return [json.loads(line) for line in parts.log(program)]


def test_while_redis_is_away_each_process_writes_a_line_a_minute_and_counts_the_rest(parts: Parts) -> None:
    parts.start(*PROGRAMS)
    # A wrong enrolment token is counted in Redis.
    enrol = f"{parts.url}/api/v1/sensors/enrol"
    first = httpx.post(enrol, headers={"X-Request-ID": REQUEST_ID}, json=BODY, timeout=30)
    assert (first.status_code, first.headers["X-Request-ID"]) == (401, REQUEST_ID)
    done = "Task fleet.sweep"
    eventually(lambda: any(done in line for line in parts.log("worker")), "the worker does tasks", 60)
    parts.kill("valkey")
    ends = time.monotonic() + AWAY
    while time.monotonic() < ends:
        assert httpx.post(enrol, json=BODY, timeout=30).status_code in (401, 429)
    parts.start("valkey")
    eventually(lambda: httpx.get(f"{parts.url}/readyz", timeout=30).status_code == 200, "the portal is ready", 60)

    for program in PROGRAMS:
        written = records(parts, program)
        outage = [each for each in written if "Redis is unavailable" in each["message"]]
        # AWAY may begin a second minute, and the worker has a parent and a child.
        by_process: dict[int, int] = {}
        for each in outage:
            by_process[each["process"]] = by_process.get(each["process"], 0) + 1
        assert outage, program
        assert max(by_process.values()) <= 2, outage
        assert not [each for each in written if "traceback" in each or "Traceback" in each["message"]], program
    requests = [each for each in records(parts, "web") if each["logger"] == "portal.access_log"]
    assert requests[0]["request_id"] == REQUEST_ID
    # A probe stands in the log where it failed: until the portal was ready again.
    probes = {("/readyz", "GET")}
    assert {(each["route"], each["method"]) for each in requests} - probes == {("/api/v1/sensors/enrol", "POST")}
    assert TOKEN not in "".join(parts.log("web"))
