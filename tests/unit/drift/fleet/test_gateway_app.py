"""The gateway's application, called without a server."""

from __future__ import annotations

import asyncio
import time
from collections.abc import MutableMapping
from typing import Any

from drift.fleet.domain.push_messages import TICKET_SECONDS, PushMessage, issue_ticket
from portal.gateway.app import Gateway
from portal.gateway.streams import SensorStream, Streams

SENSOR = "6f0c2b1e-0000-4000-8000-000000000001"
SECRET = "only for this test"


async def stream_of(gateway: Gateway, chunks: int) -> list[bytes]:
    """Return the first chunks of a sensor's stream, which it then closes."""
    ticket = issue_ticket(SENSOR, time.time() + 60, SECRET)  # type: ignore[arg-type]
    scope = {
        "type": "http",
        "path": "/stream",
        "method": "GET",
        "headers": [(b"authorization", f"Bearer {ticket}".encode())],
    }
    left, sent = asyncio.Event(), []

    async def receive() -> MutableMapping[str, Any]:
        await left.wait()
        return {"type": "http.disconnect"}

    async def send(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.body" and message.get("more_body"):
            sent.append(message["body"])
            if len(sent) >= chunks:
                left.set()

    async with asyncio.timeout(30):
        await gateway(scope, receive, send)
    return sent


def test_keepalives_are_sent_without_any_push() -> None:
    gateway = Gateway(SECRET, "redis://127.0.0.1:1/0", keepalive=0.01)

    sent = asyncio.run(stream_of(gateway, 3))

    assert sent[:3] == [b'event: keepalive\ndata: {"epoch":0}\n\n'] * 3
    assert len(gateway.streams) == 0


def test_a_stream_keeps_only_the_newest_push() -> None:
    async def scene() -> list[bytes | None]:
        streams, stream = Streams(), SensorStream(SENSOR)
        streams.add(stream)
        for number in range(1, 1_000):
            streams.take(PushMessage(1, number, "e"))
        return [await stream.next(0.01), await stream.next(0.01)]

    assert asyncio.run(scene()) == [b'event: policy\ndata: {"number":999,"etag":"e"}\n\n', None]


def test_a_push_to_many_sensors_carries_the_time_to_spread_their_fetches() -> None:
    async def scene() -> bytes | None:
        streams, stream = Streams(), SensorStream(SENSOR)
        streams.add(stream)
        streams.take(PushMessage(1, 2, "e", [SENSOR], within=20.0))
        assert streams.keepalive() == b'event: keepalive\ndata: {"epoch":0,"within":20.0}\n\n'
        return await stream.next(0.01)

    assert asyncio.run(scene()) == b'event: policy\ndata: {"number":2,"etag":"e","within":20.0}\n\n'


def test_the_epoch_never_falls() -> None:
    streams = Streams()

    for epoch in (5, 3):
        streams.take(PushMessage(epoch))

    assert streams.keepalive() == b'event: keepalive\ndata: {"epoch":5}\n\n'


def test_a_received_push_does_not_make_its_sensors_fetch_twice() -> None:
    streams = Streams()
    before = streams.keepalive()

    streams.take(PushMessage(7, 3, "e", [SENSOR]))
    streams.take(PushMessage(7))

    assert streams.keepalive() == before


def test_a_push_that_was_lost_raises_the_epoch_of_the_keepalives() -> None:
    streams = Streams()
    streams.take(PushMessage(7, 3, "e", [SENSOR]))

    streams.take(PushMessage(8))

    assert streams.keepalive() == b'event: keepalive\ndata: {"epoch":8}\n\n'


def test_no_stream_opens_during_shutdown() -> None:
    async def scene() -> int:
        gateway = Gateway(SECRET, "redis://127.0.0.1:1/0")
        gateway.streams.close()
        statuses = []

        async def send(message: MutableMapping[str, Any]) -> None:
            statuses.extend([message["status"]] if "status" in message else [])

        async def receive() -> MutableMapping[str, Any]:
            return {"type": "http.disconnect"}

        await gateway({"type": "http", "path": "/stream", "method": "GET", "headers": []}, receive, send)
        return int(statuses[0])

    assert asyncio.run(scene()) == 503


def test_a_sensor_that_opens_many_streams_keeps_the_newest_two() -> None:
    streams, opened = Streams(), [SensorStream(SENSOR) for _ in range(5)]

    for stream in opened:
        streams.add(stream)
    assert [stream.closing for stream in opened] == [True, True, True, False, False]

    for stream in opened:
        streams.discard(stream)
    assert len(streams) == 0


def test_a_ticket_from_before_its_sensor_ended_opens_no_stream() -> None:
    async def scene(closed: list[str]) -> int:
        gateway = Gateway(SECRET, "redis://127.0.0.1:1/0", keepalive=0.01)
        ticket = issue_ticket(SENSOR, time.time() + TICKET_SECONDS, SECRET)  # type: ignore[arg-type]
        gateway.streams.take(PushMessage(1, closed=closed))
        return await status_of(gateway, ticket)

    assert asyncio.run(scene([SENSOR])) == 401
    assert asyncio.run(scene(["6f0c2b1e-0000-4000-8000-000000000002"])) == 200


def test_a_ticket_from_after_its_sensor_ended_opens_a_stream() -> None:
    """A sensor whose node another took over may come back once that one is released."""

    async def scene() -> int:
        gateway = Gateway(SECRET, "redis://127.0.0.1:1/0", keepalive=0.01)
        gateway.streams.take(PushMessage(1, closed=[SENSOR]))
        later = issue_ticket(SENSOR, time.time() + TICKET_SECONDS + 1, SECRET)  # type: ignore[arg-type]
        return await status_of(gateway, later)

    assert asyncio.run(scene()) == 200


async def status_of(gateway: Gateway, ticket: str) -> int:
    """Return the status that a ticket gets; the client then leaves."""
    headers = [(b"authorization", f"Bearer {ticket}".encode())]
    statuses: list[int] = []

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.disconnect"}

    async def send(message: MutableMapping[str, Any]) -> None:
        statuses.extend([message["status"]] if "status" in message else [])

    async with asyncio.timeout(30):
        await gateway({"type": "http", "path": "/stream", "method": "GET", "headers": headers}, receive, send)
    return statuses[0]
