"""kill -9 of whatever delivers, at random moments during twenty Saves: 200 sensors end on the last version."""

from __future__ import annotations

import asyncio
import base64
import random
import time
from urllib.parse import urlsplit

import httpx
import pytest

from bench.rollout_fleet import Fleet
from sensor.policy import default_document
from tests.system.stack import Stack

pytestmark = pytest.mark.services

ACCOUNT = "123456789012"
SENSORS = 200
SAVES = 20
KILLS = ("gateway", "worker", "valkey", "postgres")
SEED = 20


def enrolled(stack: Stack) -> tuple[list[str], bytes]:
    """The sensors' credentials, and the key that signs their bundles."""
    token, made = stack.enrolment_token(ACCOUNT), []
    with httpx.Client(base_url=stack.url, timeout=20) as client:
        for place in range(SENSORS):
            cluster = {"name": "faults", "distribution": "other", "kubernetes_version": None}
            body = {"token": token, "cluster": cluster, "node": f"node-{place}", "sensor_version": "0"}
            answer = client.post("/api/v1/sensors/enrol", json=body)
            assert answer.status_code == 201, answer.text
            made.append(answer.json())
    return [each["credential"] for each in made], base64.b64decode(made[0]["keys"][0]["public_key"])


def gateway_port(stack: Stack, credential: str) -> int:
    answer = httpx.post(
        f"{stack.url}/api/v1/sensors/me/stream-ticket", headers={"Authorization": f"Bearer {credential}"}, timeout=30
    )
    return urlsplit(answer.json()["stream_url"]).port or 0


def save(stack: Stack, step: int) -> int:
    """Save until it is answered: whatever is down, a Save that was not answered may or may not have been stored."""
    document = {**default_document(), "default": {"action": ("alert", "ignore")[step % 2]}}
    deadline = time.monotonic() + 60
    while True:
        try:
            with stack.api() as api:
                answer = api.post("policy/versions/", json={"document": document, "base": latest(api)})
                if answer.status_code in {200, 201}:
                    return int(answer.json()["number"])
        except httpx.HTTPError:
            pass
        assert time.monotonic() < deadline, "no Save was answered within 60 s"
        time.sleep(0.2)


def latest(api: httpx.Client) -> int:
    answer = api.get("policy/versions/", params={"limit": 1}).raise_for_status()
    return int(answer.json()["results"][0]["number"])


async def until(fleet: Fleet, number: int, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while any(sensor.number != number for sensor in fleet.sensors):
        behind = sorted({sensor.number for sensor in fleet.sensors})
        assert time.monotonic() < deadline, f"versions {behind}, not {number} alone; {dict(fleet.calls)}"
        await asyncio.sleep(0.1)


async def scene(stack: Stack, fleet: Fleet) -> int:
    """Save and kill, then wait for the last version to be everywhere; its number."""
    chance = random.Random(SEED)
    fleet.start()
    with stack.api() as api:
        number = latest(api)
    await until(fleet, number, 30)
    for step in range(SAVES):
        number = await asyncio.to_thread(save, stack, step)
        await asyncio.sleep(chance.uniform(0, 0.6))
        if step % 2 == 0:
            stack.kill(chance.choice(KILLS))
    await until(fleet, number, 60)
    await fleet.stop()
    return number


def test_every_sensor_ends_on_the_last_version_and_none_was_ever_handed_an_older_one(stack: Stack) -> None:
    credentials, key = enrolled(stack)
    fleet = Fleet(credentials, stack.port, gateway_port(stack, credentials[0]), key, reconnect_within=1.0)

    number = asyncio.run(scene(stack, fleet))

    assert number > SAVES
    for sensor in fleet.sensors:
        assert sensor.served == sorted(sensor.served)
    query = """
        SELECT state, count(*) FROM fleet_delivery JOIN fleet_rollout ON fleet_rollout.id = rollout_id
        WHERE version_id = %s GROUP BY state
    """
    assert stack.rows(query, number) == [("applied", SENSORS)]
    falls = "SELECT count(*) FROM fleet_sensor WHERE applied_number <> %s OR desired_version_id <> %s"
    assert stack.rows(falls, number, number) == [(0,)]
