"""A sensor that does nothing but send events, and remembers which were acknowledged."""

from __future__ import annotations

import threading
import time
import uuid
from typing import Any

import httpx

from tests.system.parts import Parts
from tests.unit.drift.alerts.conftest import event


class Sender:
    """A sensor that sends batches; what was acknowledged is in `stored`."""

    def __init__(self, parts: Parts, token: str) -> None:
        cluster = {"name": "faults", "distribution": "other", "kubernetes_version": None}
        body = {"token": token, "cluster": cluster, "node": f"n-{uuid.uuid4()}", "sensor_version": "0"}
        answer = httpx.post(f"{parts.url}/api/v1/sensors/enrol", json=body, timeout=30)
        assert answer.status_code == 201, answer.text
        self._headers = {"Authorization": f"Bearer {answer.json()['credential']}"}
        self._url = f"{parts.url}/api/v1/sensors/me/events"
        self.stored: list[uuid.UUID] = []
        self._last: list[dict[str, Any]] = []

    def send(self, events: int = 200) -> int:
        """Send a new batch; return the status."""
        batch = [event(event_id=str(uuid.uuid4()), process__argv=["/tmp/x", "y" * 500]) for _ in range(events)]
        self._last = batch
        answer = httpx.post(self._url, json={"events": batch}, headers=self._headers, timeout=60)
        if answer.status_code == 200:
            self.stored += [uuid.UUID(each["event_id"]) for each in batch]
        return answer.status_code

    def repeat(self) -> int:
        """Send the last batch again; return the status."""
        return httpx.post(self._url, json={"events": self._last}, headers=self._headers, timeout=60).status_code


def new_senders(parts: Parts, count: int) -> list[Sender]:
    """Return enrolled sensors."""
    token = parts.manage("enrolment_token", "--environment", "azure:sub-1").splitlines()[-1]
    return [Sender(parts, token) for _ in range(count)]


class Storm:
    """Senders that each send one batch after another, until it ends.

    `answers` has (when, status) of each; `slowest` the seconds of the slowest, which ended at `slowest_at`.
    """

    def __init__(self, senders: list[Sender], events: int = 20, pause: float = 0.02) -> None:
        self.senders, self.answers = senders, list[tuple[float, int]]()
        self.slowest, self.slowest_at = 0.0, 0.0
        self._events, self._pause, self._ended = events, pause, threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(each,), daemon=True) for each in senders]
        for thread in self._threads:
            thread.start()

    @property
    def stored(self) -> set[uuid.UUID]:
        """All that was acknowledged."""
        return {event_id for each in self.senders for event_id in each.stored}

    def accepted_after(self, moment: float) -> float | None:
        """Return when the first batch after `moment` was acknowledged, in seconds after it; None before."""
        after = [when - moment for when, status in self.answers if when > moment and status == 200]
        return min(after, default=None)

    def end(self) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join(90)

    def _run(self, sender: Sender) -> None:
        while not self._ended.wait(self._pause):
            began = time.monotonic()
            try:
                status = sender.send(self._events)
            except httpx.HTTPError:
                status = 0
            ended = time.monotonic()
            if ended - began > self.slowest:
                self.slowest, self.slowest_at = ended - began, ended
            self.answers.append((ended, status))
