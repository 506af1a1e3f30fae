"""Thousands of simulated sensors in one process: the real protocol, nothing of the real capture.

Each has its own credential, ticket and stream, and fetches, verifies, applies and acknowledges as
`sensor.agent` does; a bundle that all share is verified once.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import random
import time
from collections import Counter
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from bench.rollout_http import Answer, EventStream, Pool, Unavailable
from sensor import wire

API = "/api/v1/sensors/me/"
CONNECTIONS = 32
"""Kept connections to the web process."""
RECONNECT_WITHIN = 5.0
"""Seconds over which sensors come back after their stream ended, as the real ones do."""


@dataclass
class Simulated:
    """One sensor: what it runs, and what the portal ever handed it, in order."""

    credential: str
    etag: str = ""
    number: int = 0
    served: list[int] = field(default_factory=list)
    epoch: int | None = None
    asking: bool = False
    again: bool = False
    connected: bool = False


class Fleet:
    """All simulated sensors; `notified` and `acknowledged` keep, by version, the moment (perf_counter) for each."""

    def __init__(
        self,
        credentials: Sequence[str],
        web: int,
        gateway: int,
        key: bytes,
        poll: float | None = None,
        reconnect_within: float = RECONNECT_WITHIN,
    ) -> None:
        self.sensors = [Simulated(credential) for credential in credentials]
        self.notified: dict[int, dict[int, float]] = {}
        self.acknowledged: dict[int, dict[int, float]] = {}
        self.calls: Counter[str] = Counter()
        self._gateway, self._poll, self._reconnect_within = gateway, poll, reconnect_within
        self._pool = Pool(web, CONNECTIONS)
        self._key = Ed25519PublicKey.from_public_bytes(key)
        self._last_push: tuple[bytes, dict[str, Any]] = b"", {}
        self._bundles: dict[bytes, tuple[wire.BundlePayload, str]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Let every sensor connect, all within a few seconds."""
        for place in range(len(self.sensors)):
            self._run(self._live(place))
            if self._poll:
                self._run(self._polling(place, self._poll))

    async def stop(self) -> None:
        """End all sensors."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def connected(self) -> int:
        return sum(sensor.connected for sensor in self.sensors)

    async def unchanged(self, count: int) -> float:
        """Seconds for `count` authenticated GETs that answer 304, over the same connections. ValueError otherwise."""

        async def one(sensor: Simulated) -> None:
            answer = await self._get(sensor)
            if answer.status != 304:
                raise ValueError(f"{answer.status} in place of 304")

        begun = time.perf_counter()
        for start in range(0, count, len(self.sensors)):
            await asyncio.gather(*(one(sensor) for sensor in self.sensors[: count - start]))
        return time.perf_counter() - begun

    def _run(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _live(self, place: int) -> None:
        """Connect, listen until the stream ends, wait a little, connect again."""
        sensor = self.sensors[place]
        while True:
            await asyncio.sleep(random.uniform(0, self._reconnect_within))
            try:
                await self._listen(place, sensor)
            except Unavailable:
                self.calls["stream ended"] += 1
            finally:
                sensor.connected = False

    async def _listen(self, place: int, sensor: Simulated) -> None:
        answer = await self._pool.request("POST", API + "stream-ticket", sensor.credential)
        if answer.status != 200:
            raise Unavailable(str(answer.status))
        stream = await EventStream.open(self._gateway, msgspec.json.decode(answer.body, type=wire.StreamTicket).ticket)
        try:
            sensor.connected = True
            self._changed(place)
            while True:
                self._take(place, sensor, *await stream.next())
        finally:
            stream.close()

    def _take(self, place: int, sensor: Simulated, name: str, data: bytes) -> None:
        push = self._decoded(data)
        within = push.get("within", 0.0)
        if name == "policy":
            self.notified.setdefault(push["number"], {}).setdefault(place, time.perf_counter())
            self._changed(place, within)
        else:
            if sensor.epoch not in (None, push["epoch"]):
                self.calls["epoch changed"] += 1
                self._changed(place, within)
            sensor.epoch = push["epoch"]

    def _decoded(self, data: bytes) -> dict[str, Any]:
        """Thousands of sensors get the same bytes, so they are decoded once."""
        if self._last_push[0] != data:
            self._last_push = data, msgspec.json.decode(data)
        return self._last_push[1]

    async def _polling(self, place: int, seconds: float) -> None:
        while True:
            await asyncio.sleep(random.uniform(0.5, 1.5) * seconds)
            self._changed(place)

    def _changed(self, place: int, within: float = 0.0) -> None:
        """Fetch within so many seconds; a push that arrives during a fetch is followed by one more fetch."""
        sensor = self.sensors[place]
        sensor.again = True
        if not sensor.asking:
            sensor.asking = True
            self._run(self._ask(place, sensor, within))

    async def _ask(self, place: int, sensor: Simulated, within: float) -> None:
        wait = 0.2
        try:
            await asyncio.sleep(random.uniform(0, within))
            while sensor.again:
                sensor.again = False
                try:
                    await self._fetch(place, sensor)
                except Unavailable:
                    self.calls["tried again"] += 1
                    sensor.again = True
                    await asyncio.sleep(random.uniform(0.5, 1) * wait)
                    wait = min(wait * 2, 5.0)
        finally:
            sensor.asking = False

    async def _fetch(self, place: int, sensor: Simulated) -> None:
        answer = await self._get(sensor)
        if answer.status == 304:
            return
        if answer.status != 200:
            raise Unavailable(str(answer.status))
        bundle, etag = self._verified(answer.body)
        sensor.served.append(bundle.number)
        word = wire.PolicyStatus(bundle.number, bundle.digest, "applied", etag=etag)
        answer = await self._pool.request("POST", API + "policy/status", sensor.credential, msgspec.json.encode(word))
        if answer.status != 204:
            raise Unavailable(str(answer.status))
        sensor.number, sensor.etag = bundle.number, etag
        self.acknowledged.setdefault(bundle.number, {}).setdefault(place, time.perf_counter())

    async def _get(self, sensor: Simulated) -> Answer:
        extra = f'If-None-Match: "{sensor.etag}"\r\n' if sensor.etag else ""
        answer = await self._pool.request("GET", API + "policy", sensor.credential, extra=extra)
        self.calls[f"policy {answer.status}"] += 1
        return answer

    def _verified(self, raw: bytes) -> tuple[wire.BundlePayload, str]:
        """The signed payload and its ETag. Raises InvalidSignature."""
        if raw not in self._bundles:
            bundle = msgspec.json.decode(raw, type=wire.SignedPolicy)
            payload = base64.b64decode(bundle.payload)
            self._key.verify(base64.b64decode(bundle.signature), payload)
            known = msgspec.json.decode(payload, type=wire.BundlePayload)
            self._bundles[raw] = known, hashlib.sha256(payload).hexdigest()
        return self._bundles[raw]
