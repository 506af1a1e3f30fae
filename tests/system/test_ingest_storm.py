"""kill -9 at random during a storm of batches: acknowledged events are stored once, and every count is right."""

from __future__ import annotations

import random
import threading
import time
import uuid
from collections import Counter
from typing import Any

import httpx
import pytest

from tests.system.stack import Stack, eventually
from tests.unit.drift.alerts.conftest import event

pytestmark = pytest.mark.services

ACCOUNT = "123456789012"
CLIENTS = 4
SECONDS = 12.0
PATHS = 40
KILLED = ("web", "postgres", "valkey", "worker")


class Client(threading.Thread):
    """A sensor that sends batches, each again and again until it is acknowledged, as the spool does."""

    def __init__(self, stack: Stack, number: int, until: float) -> None:
        super().__init__()
        self.stack, self.until, self.random = stack, until, random.Random(number)
        body = {
            "token": stack.enrolment_token(ACCOUNT),
            "cluster": {"name": "storm", "distribution": "other"},
            "node": f"storm-{number}",
            "sensor_version": "0",
        }
        answer = httpx.post(f"{stack.url}/api/v1/sensors/enrol", json=body, timeout=30).raise_for_status()
        self.headers = {"Authorization": f"Bearer {answer.json()['credential']}"}
        self.sent: list[dict[str, Any]] = []
        self.refused: list[str] = []

    def run(self) -> None:
        while time.monotonic() < self.until and not self.refused:
            batch = [self._event() for _ in range(self.random.randrange(1, 120))]
            again = self.random.sample(self.sent, min(5, len(self.sent)))
            while not self._acknowledged([*batch, *again]):
                time.sleep(0.1)
            self.sent += batch

    def _event(self) -> dict[str, Any]:
        alerts = self.random.randrange(3) == 0
        decision = {
            "action": "alert" if alerts else "ignore",
            "rule": "default",
            "reason": "default",
            "policy_number": 1,
        }
        count = self.random.choice([1, 1, 9])
        return event(
            event_id=str(uuid.uuid4()),
            mode="summary" if count > 1 else "exec",
            count=count,
            process__path=f"/tmp/{self.random.randrange(PATHS)}",
            decision=decision,
        )

    def _acknowledged(self, events: list[dict[str, Any]]) -> bool:
        try:
            url = f"{self.stack.url}/api/v1/sensors/me/events"
            answer = httpx.post(url, json={"events": events}, headers=self.headers, timeout=20)
        except httpx.HTTPError:
            return False
        if answer.status_code not in {200, 429, 503}:
            self.refused.append(f"{answer.status_code} {answer.text}")
            return True
        return answer.status_code == 200


def test_every_acknowledged_event_is_stored_once_and_counted_once(stack: Stack) -> None:
    clients = [Client(stack, number, time.monotonic() + SECONDS) for number in range(CLIENTS)]
    for client in clients:
        client.start()
    chance = random.Random(7)
    while any(client.is_alive() for client in clients) and time.monotonic() < clients[0].until:
        time.sleep(chance.uniform(0.5, 2.0))
        stack.kill(chance.choice(KILLED))
    for client in clients:
        client.join(timeout=60)
    eventually(stack.is_ready, "the portal is back", seconds=60)

    assert [client.refused for client in clients] == [[]] * CLIENTS
    sent = [each for client in clients for each in client.sent]
    assert len(sent) > 50, "a storm that stored next to nothing proves nothing"
    stored = stack.rows("SELECT event_id, count FROM alerts_driftevent")
    assert len(stored) == len(sent)
    assert dict(stored) == {uuid.UUID(each["event_id"]): each["count"] for each in sent}
    expected: Counter[str] = Counter()
    for each in sent:
        expected[each["process"]["path"]] += each["count"] if each["decision"]["action"] == "alert" else 0
    counted = "SELECT a.path, p.count FROM alerts_alert a JOIN alerts_alertpulse p ON p.alert_id = a.id"
    assert dict(stack.rows(counted)) == dict(+expected)
    hours = counted.replace("p.count", "sum(p.count)::bigint").replace("alertpulse", "alerthour") + " GROUP BY 1"
    assert dict(stack.rows(hours)) == dict(+expected)
