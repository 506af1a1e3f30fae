"""Under 400 slow clients of each kind, pages, events and health checks go on."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.system.slow_clients import KINDS, SlowClients, percentile, waits
from tests.system.stack import Stack

pytestmark = [pytest.mark.services, pytest.mark.serial]

COUNT = 400
SETTLED = 6.0
"""Seconds for the attack to be under way: 400 connections, and the first response of each."""


def enrolled(stack: Stack) -> dict[str, str]:
    """Return the header of a sensor that has just enrolled."""
    cluster = {"name": "slow", "distribution": "other"}
    body = {"token": stack.enrolment_token("123456789012"), "cluster": cluster, "node": "one", "sensor_version": "1"}
    done = httpx.post(f"{stack.url}/api/v1/sensors/enrol", json=body, timeout=30)
    assert done.is_success, done.text
    return {"Authorization": f"Bearer {done.json()['credential']}"}


def test_400_slow_clients_of_each_kind_delay_nobody_by_a_second(stack: Stack) -> None:
    sensor = enrolled(stack)
    client = httpx.Client(base_url=stack.url, timeout=30)
    calls = {
        "page": lambda: client.get("/sign-in/"),
        "health": lambda: client.get("/readyz?role=web"),
        "sensor": lambda: client.get("/api/v1/sensors/me/policy", headers=sensor),
    }
    found = {}
    for kind in KINDS:
        with SlowClients(stack.url, kind, COUNT):
            time.sleep(SETTLED)
            with ThreadPoolExecutor(len(calls)) as pool:
                taken = pool.map(lambda call: list(waits(call, 3)), calls.values())
            for what, each in zip(calls, taken, strict=True):
                found[kind, what] = percentile(each, 0.99)

    assert {key: wait for key, wait in found.items() if wait > 1} == {}
