"""The gateway as an ASGI application: a ticket in, a stream out."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
import time
from collections.abc import Awaitable, Callable, MutableMapping
from types import FrameType
from typing import Any

from drift.fleet.domain import push_messages as push
from portal import config
from portal.gateway.channel import listen
from portal.gateway.streams import SensorStream, Streams, jittered

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

KEEPALIVE = 20.0
"""Seconds between two keep-alives (WIRE: stream)."""
LONGEST_STREAM = 3_600.0
"""Seconds after which a sensor must come with a new ticket, so that one that was revoked unheard goes."""
_STREAM_HEADERS = [
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
]


class Gateway:
    """Serves `GET /stream` to whoever brings a ticket, and `GET /healthz` to anybody."""

    def __init__(self, secret: str, redis_url: str, keepalive: float = KEEPALIVE) -> None:
        self.streams = Streams()
        self._secret, self._redis_url, self._keepalive = secret, redis_url, keepalive

    @classmethod
    def from_environment(cls) -> Gateway:
        """SECRET_KEY and REDIS_URL, or NAME_FILE for each, as the portal reads them."""
        return cls(config.secret("SECRET_KEY", ""), config.secret("REDIS_URL", ""))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            await self._answer(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        """Listen to Redis from start-up to shutdown."""
        await receive()
        listener = asyncio.create_task(listen(self._redis_url, self.streams))
        _on_termination(self.streams.close)
        await send({"type": "lifespan.startup.complete"})
        await receive()
        listener.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await listener
        await send({"type": "lifespan.shutdown.complete"})

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        path, method = scope["path"], scope["method"]
        if path == "/healthz" and method in {"GET", "HEAD"}:
            await _whole(send, 200, b'{"status":"ok"}')
        elif path != "/stream" or method != "GET":
            await _whole(send, 404, b'{"code":"not_found","message":"There is nothing here."}')
        elif self.streams.closing:
            await _whole(send, 503, b'{"code":"restarting","message":"The gateway restarts."}')
        elif sensor := push.check_ticket(_bearer(scope), time.time(), self._secret):
            await self._stream(SensorStream(sensor), receive, send)
        else:
            await _whole(send, 401, b'{"code":"not_authenticated","message":"Send a ticket that is still good."}')

    async def _stream(self, stream: SensorStream, receive: Receive, send: Send) -> None:
        """Send pushes and keep-alives until the sensor leaves, or this process or its ticket's time ends."""
        await send({"type": "http.response.start", "status": 200, "headers": _STREAM_HEADERS})
        self.streams.add(stream)
        gone = asyncio.create_task(_gone(stream, receive))
        ends = time.monotonic() + jittered(LONGEST_STREAM)
        try:
            await _chunk(send, self.streams.keepalive())
            while not stream.closing and time.monotonic() < ends:
                event = await stream.next(jittered(self._keepalive))
                await _chunk(send, event or self.streams.keepalive())
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            self.streams.discard(stream)
            gone.cancel()


async def _gone(stream: SensorStream, receive: Receive) -> None:
    """Close the stream when its sensor has left: a server does not say so to whoever only sends."""
    while (await receive())["type"] != "http.disconnect":
        pass
    stream.close()


async def _chunk(send: Send, body: bytes) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": True})


async def _whole(send: Send, status: int, body: bytes) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _bearer(scope: Scope) -> str:
    """The ticket in the Authorization header; not in the address, which servers write to their logs."""
    for name, value in scope["headers"]:
        scheme, _, text = value.decode("latin-1").partition(" ")
        if name == b"authorization" and scheme.lower() == "bearer":
            return str(text.strip())
    return ""


def _on_termination(end: Callable[[], None]) -> None:
    """Run `end` on SIGTERM and SIGINT, then what the server does: it would wait for streams that never end."""
    if threading.current_thread() is not threading.main_thread():
        return  # only the main thread hears signals
    loop = asyncio.get_running_loop()

    def handler(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(end)
        previous = handlers[signal.Signals(number)]
        if callable(previous):
            previous(number, frame)

    handlers = {number: signal.signal(number, handler) for number in (signal.SIGTERM, signal.SIGINT)}
