"""The open streams of one gateway process, and what each still has to be told."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable

import msgspec

from drift.fleet.domain.push_messages import PushMessage

STREAMS_PER_SENSOR = 2
"""A sensor that comes again may still have the stream that it lost."""


class SensorStream:
    """One sensor's open connection.

    It queues one push at most: a newer one takes the place of one that is not sent yet, so a reader
    that is slow or gone costs the same few bytes for ever, and never misses the last word.
    """

    __slots__ = ("_push", "_woken", "closing", "sensor")

    def __init__(self, sensor: str) -> None:
        self.sensor = sensor
        self.closing = False
        self._push: bytes | None = None
        self._woken = asyncio.Event()

    def offer(self, event: bytes) -> None:
        """Send this next, in place of what still waits."""
        self._push = event
        self._woken.set()

    def nudge(self) -> None:
        """Send a keep-alive now."""
        self._woken.set()

    def close(self) -> None:
        """End the stream after what waits was sent."""
        self.closing = True
        self._woken.set()

    async def next(self, seconds: float) -> bytes | None:
        """The push that waits, or None for a keep-alive: when nudged, closed, or after `seconds`."""
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

    With it goes `within`, the seconds over which sensors that see a new epoch spread their questions.
    """

    def __init__(self) -> None:
        self.epoch = 0
        self.within = 0.0
        self.closing = False
        self._heard = 0
        self._by_sensor: dict[str, list[SensorStream]] = {}

    def __len__(self) -> int:
        return sum(len(streams) for streams in self._by_sensor.values())

    def add(self, stream: SensorStream) -> None:
        """Take a stream in. Past STREAMS_PER_SENSOR the sensor's oldest ends: one ticket must not open them all."""
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

    def take(self, message: PushMessage) -> None:
        """Pass a message on to those whom it concerns.

        One that says only an epoch, and a higher one than was heard here, tells that a push was lost on
        the way: then the keep-alives' epoch rises, and everybody gets one at once. A push that was heard
        does not raise it: its sensors were told, and would all ask a second time.
        """
        missed = message.epoch > self._heard and message.number is None and not message.closed
        self._heard = max(self._heard, message.epoch)
        if missed:
            self.epoch = self._heard
        if not message.closed:
            self.within = message.within
        for stream in self._of(message.closed):
            stream.close()
        if message.number is not None:
            event = policy_event(message.number, message.etag, message.within)
            for stream in self._all() if message.sensors is None else self._of(message.sensors):
                stream.offer(event)
        elif missed:
            for stream in self._all():
                stream.nudge()

    def close(self) -> None:
        """End every stream, and refuse new ones: this process is to stop."""
        self.closing = True
        for stream in self._all():
            stream.close()

    def keepalive(self) -> bytes:
        return _event(b"keepalive", {"epoch": self.epoch}, self.within)

    def _all(self) -> list[SensorStream]:
        return [stream for streams in self._by_sensor.values() for stream in streams]

    def _of(self, sensors: Iterable[str]) -> list[SensorStream]:
        return [stream for sensor in sensors for stream in self._by_sensor.get(sensor, ())]


def policy_event(number: int, etag: str, within: float = 0.0) -> bytes:
    """The event that makes a sensor ask for its policy (WIRE: stream), at a moment within so many seconds."""
    return _event(b"policy", {"number": number, "etag": etag}, within)


def _event(name: bytes, data: dict[str, int | str], within: float) -> bytes:
    spread = {"within": round(within, 1)} if within >= 0.1 else {}
    return b"event: %s\ndata: %s\n\n" % (name, msgspec.json.encode(data | spread))


def jittered(seconds: float) -> float:
    """Within a tenth of `seconds`, so that streams opened together do not speak together."""
    return seconds * random.uniform(0.9, 1.1)  # noqa: S311 - spreads load, guards nothing
