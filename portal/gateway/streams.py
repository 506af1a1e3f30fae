"""The open streams of one gateway process, and the push that each still has to send."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterable

import msgspec

from drift.fleet.domain.push_messages import TICKET_SECONDS, PushMessage, TicketBody

STREAMS_PER_SENSOR = 2
"""A sensor that reconnects may still have its old stream, if the loss was not detected yet."""


class SensorStream:
    """One sensor's open connection.

    It queues one push at most, and a newer one replaces it: so a slow or lost reader costs a few bytes and never
    misses the newest push.
    """

    __slots__ = ("_push", "_woken", "closing", "sensor")

    def __init__(self, sensor: str) -> None:
        self.sensor = sensor
        self.closing = False
        self._push: bytes | None = None
        self._woken = asyncio.Event()

    def offer(self, event: bytes) -> None:
        """Send this event next, instead of the one that is queued."""
        self._push = event
        self._woken.set()

    def nudge(self) -> None:
        """Send a keep-alive now."""
        self._woken.set()

    def close(self) -> None:
        """End the stream after the queued push was sent."""
        self.closing = True
        self._woken.set()

    async def next(self, seconds: float) -> bytes | None:
        """Return the queued push; None for a keep-alive: when nudged, closed, or after `seconds`."""
        try:
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        except TimeoutError:
            return None
        self._woken.clear()
        event, self._push = self._push, None
        return event


class Streams:
    """All streams of this process, and the epoch that keep-alives carry.

    `within`: the seconds over which sensors that see a new epoch spread their fetches.
    """

    def __init__(self) -> None:
        self.epoch = 0
        self.within = 0.0
        self.closing = False
        self._received = 0
        self._by_sensor: dict[str, list[SensorStream]] = {}
        self._ended_at: dict[str, float] = {}

    def __len__(self) -> int:
        return sum(len(streams) for streams in self._by_sensor.values())

    def add(self, stream: SensorStream) -> None:
        """Add a stream; beyond STREAMS_PER_SENSOR the sensor's oldest ends: one ticket must not open any number."""
        streams = self._by_sensor.setdefault(stream.sensor, [])
        streams.append(stream)
        for older in streams[:-STREAMS_PER_SENSOR]:
            older.close()

    def discard(self, stream: SensorStream) -> None:
        streams = self._by_sensor.get(stream.sensor, [])
        if stream in streams:
            streams.remove(stream)
        if not streams:
            self._by_sensor.pop(stream.sensor, None)

    def outlives(self, ticket: TicketBody) -> bool:
        """Return whether the ticket was issued before its sensor ended: it is valid for a while longer."""
        ended_at = self._ended_at.get(ticket.sensor)
        return ended_at is not None and ticket.expires - TICKET_SECONDS <= ended_at

    def _note_ended(self, sensors: Iterable[str]) -> None:
        now = time.time()
        self._ended_at = {each: at for each, at in self._ended_at.items() if now - at < TICKET_SECONDS}
        self._ended_at |= dict.fromkeys(sensors, now)

    def take(self, message: PushMessage) -> None:
        """Forward a message to the streams that it concerns."""
        # The sweeper's messages carry an epoch alone. One higher than that of every push received here means that a
        # push was lost: the keep-alives' epoch rises, and all streams get one at once. A push that arrived does not
        # raise it: its sensors were notified, and would all fetch a second time.
        missed = message.epoch > self._received and message.number is None and not message.closed
        self._received = max(self._received, message.epoch)
        if missed:
            self.epoch = self._received
        if not message.closed:
            self.within = message.within
        if message.closed:
            self._note_ended(message.closed)
        for stream in self._sensor_streams(message.closed):
            stream.close()
        if message.number is not None:
            event = policy_event(message.number, message.etag, message.within)
            for stream in self._all() if message.sensors is None else self._sensor_streams(message.sensors):
                stream.offer(event)
        elif missed:
            for stream in self._all():
                stream.nudge()

    def close(self) -> None:
        """End every stream and reject new ones, before this process stops."""
        self.closing = True
        for stream in self._all():
            stream.close()

    def keepalive(self) -> bytes:
        return _event(b"keepalive", {"epoch": self.epoch}, self.within)

    def _all(self) -> list[SensorStream]:
        return [stream for streams in self._by_sensor.values() for stream in streams]

    def _sensor_streams(self, sensors: Iterable[str]) -> list[SensorStream]:
        return [stream for sensor in sensors for stream in self._by_sensor.get(sensor, ())]


def policy_event(number: int, etag: str, within: float = 0.0) -> bytes:
    """Return the event that makes a sensor fetch its policy, at a random moment within `within` seconds."""
    return _event(b"policy", {"number": number, "etag": etag}, within)


def _event(name: bytes, data: dict[str, int | str], within: float) -> bytes:
    spread = {"within": round(within, 1)} if within >= 0.1 else {}
    return b"event: %s\ndata: %s\n\n" % (name, msgspec.json.encode(data | spread))


def jittered(seconds: float) -> float:
    """Return `seconds` ± 10 %, so that streams opened together do not send together."""
    return seconds * random.uniform(0.9, 1.1)  # noqa: S311 - spreads load, guards nothing
