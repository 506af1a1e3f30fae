"""The gateway as an ASGI application: it checks a ticket and opens a stream (docs/delivery.md#the-push-gateway)."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import logging.config
import signal
import threading
import time
from collections.abc import Awaitable, Callable, MutableMapping
from types import FrameType
from typing import Any

from accounts import request_ids
from drift.fleet.domain.push_messages import TicketBody, check_ticket
from portal import config
from portal.connections import raise_file_limit
from portal.gateway.channel import listen
from portal.gateway.reports import report
from portal.gateway.streams import SensorStream, Streams, jittered
from portal.gateway.tickets import UsedTickets
from portal.log_settings import FILTERS, log_settings

access_log = logging.getLogger("portal.access_log")

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

KEEPALIVE = 20.0
"""Seconds between two keep-alives."""
LONGEST_STREAM = 3_600.0
"""Seconds after which a sensor needs a new ticket, so that a revoked one whose push was lost is disconnected."""
_STREAM_HEADERS = [
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-accel-buffering", b"no"),
]


class Gateway:
    """Serves `GET /stream` to holders of a ticket, and `GET /healthz` to anyone."""

    def __init__(self, secret: str, redis_url: str, keepalive: float = KEEPALIVE, *, trusted_proxies: int = 0) -> None:
        self.streams = Streams()
        self._trusted_proxies = trusted_proxies
        self.log_settings: dict[str, Any] | None = None
        self._secret, self._redis_url, self._keepalive = secret, redis_url, keepalive
        self._used = UsedTickets(redis_url)

    @classmethod
    def from_environment(cls) -> Gateway:
        """SECRET_KEY and REDIS_URL, or NAME_FILE for each, as the portal reads them."""
        level, form, access = config.log_options()
        # The others need Django.
        filters = {"request": FILTERS["request"]}
        gateway = cls(config.secret("SECRET_KEY", ""), config.redis_address(), trusted_proxies=config.trusted_proxies())
        gateway.log_settings = log_settings(level, form, access_log=access, filters=filters)
        return gateway

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "http":
            await self._log(scope, receive, send)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        """Subscribe to Redis and report, from start-up to shutdown."""
        await receive()
        if self.log_settings is not None:
            # Here rather than where it is imported: by now Uvicorn has set up its own handlers.
            logging.config.dictConfig(self.log_settings)
        raise_file_limit()
        tasks = [
            asyncio.create_task(listen(self._redis_url, self.streams)),
            asyncio.create_task(report(self._redis_url, self.streams)),
        ]
        _on_termination(self.streams.close)
        await send({"type": "lifespan.startup.complete"})
        await receive()
        for task in tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await self._used.close()
        await send({"type": "lifespan.shutdown.complete"})

    async def _log(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Respond with the request's id in the response and in the log, and log the request once it is over."""
        request_id = request_ids.given_or_new_id(_header(scope, b"x-request-id"), self._trusted_proxies)
        request_ids.current.set(request_id)  # each request has a task of its own
        began, status = time.monotonic(), 0

        async def send_with_id(message: MutableMapping[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-request-id", request_id.encode())]
            await send(message)

        try:
            await self._respond(scope, receive, send_with_id)
        finally:
            if scope["path"] != "/healthz":
                facts = {"method": scope["method"], "status": status, "seconds": round(time.monotonic() - began, 1)}
                facts["route"] = "/stream" if scope["path"] == "/stream" else "-"
                text = " ".join(f"{name}={value}" for name, value in facts.items())
                access_log.info("%s", text, extra={"facts": facts})

    async def _respond(self, scope: Scope, receive: Receive, send: Send) -> None:
        path, method = scope["path"], scope["method"]
        if path == "/healthz" and method in {"GET", "HEAD"}:
            await _whole(send, 200, b'{"status":"ok"}')
        elif path != "/stream" or method != "GET":
            await _whole(send, 404, b'{"code":"not_found","message":"Not found."}')
        elif self.streams.closing:
            await _whole(send, 503, b'{"code":"restarting","message":"The gateway is restarting."}')
        elif (ticket := await self._first_use(scope)) is not None:
            await self._stream(SensorStream(ticket.sensor), receive, send)
        else:
            await _whole(send, 401, b'{"code":"not_authenticated","message":"Send a valid ticket."}')

    async def _first_use(self, scope: Scope) -> TicketBody | None:
        """Return the request's ticket if it opens a stream now: unused, of a sensor that has not ended since."""
        ticket = check_ticket(_bearer(scope), time.time(), self._secret)
        if ticket is None or not await self._used.use(ticket) or self.streams.outlives(ticket):
            return None
        return ticket

    async def _stream(self, stream: SensorStream, receive: Receive, send: Send) -> None:
        """Send pushes and keep-alives until the sensor disconnects, its time is over, or this process ends."""
        await send({"type": "http.response.start", "status": 200, "headers": _STREAM_HEADERS})
        self.streams.add(stream)
        disconnect = asyncio.create_task(_close_on_disconnect(stream, receive))
        ends = time.monotonic() + jittered(LONGEST_STREAM)
        try:
            await _chunk(send, self.streams.keepalive())
            while not stream.closing and time.monotonic() < ends:
                event = await stream.next(jittered(self._keepalive))
                await _chunk(send, event or self.streams.keepalive())
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            self.streams.discard(stream)
            disconnect.cancel()


async def _close_on_disconnect(stream: SensorStream, receive: Receive) -> None:
    # An ASGI server reports the disconnect to `receive` only: `send` goes on without an error.
    while (await receive())["type"] != "http.disconnect":
        pass
    stream.close()


async def _chunk(send: Send, body: bytes) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": True})


async def _whole(send: Send, status: int, body: bytes) -> None:
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _bearer(scope: Scope) -> str:
    # The ticket is in a header rather than in the address, which servers write to their logs.
    scheme, _, text = _header(scope, b"authorization").partition(" ")
    return text.strip() if scheme.lower() == "bearer" else ""


def _header(scope: Scope, wanted: bytes) -> str:
    return next((str(value, "latin-1") for name, value in scope["headers"] if name == wanted), "")


def _on_termination(end: Callable[[], None]) -> None:
    """Call `end` on SIGTERM and SIGINT before the server's own handler, which waits for streams that never end."""
    if threading.current_thread() is not threading.main_thread():
        return  # Only the main thread receives signals.
    loop = asyncio.get_running_loop()

    def handler(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(end)
        previous = handlers[signal.Signals(number)]
        if callable(previous):
            previous(number, frame)

    handlers = {number: signal.signal(number, handler) for number in (signal.SIGTERM, signal.SIGINT)}
