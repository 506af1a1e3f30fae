"""The ASGI application in front of Django: a request takes a thread only once it is whole.

A client that sends slowly costs a few kilobytes and no thread, one that sends too much is refused before it is read,
and of callers that were not accepted lately (`known_callers`) at most `body_limits.DEFAULT` bytes are read before
they are authenticated. `portal.connections` ends
connections whose headers do not come or whose responses are not read.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import Callable, Coroutine, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from django.conf import settings

from portal.body_limits import DEFAULT, body_limit, size
from portal.connections import STALL_SECONDS, raise_file_limit
from portal.front.bodies import BODY_SECONDS, BodyBudget, Disconnected, IncomingBody, Receive, Refused
from portal.front.known_callers import KnownCallers
from portal.front.wsgi_call import Answer, Application, call, environ

Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Coroutine[Any, Any, None]]

MAX_WAITING: Final = 512
"""Whole requests that wait for a thread; the next one gets 503."""
DRAIN_SECONDS: Final = 10.0
DRAIN_BYTES: Final = 32 * 1024 * 1024
"""How long, and for how much, a client goes on sending a body after it was refused: closing at once would reset the
connection, and most clients would never see the response (RFC 9112, section 9.6); a proxy would answer 502 for it. More
than the largest body that any URL takes. It holds a connection and no memory."""
SEND_SECONDS: Final = 2 * STALL_SECONDS
"""A thread never waits longer for a client that reads: the connection ends before, unless this process does."""
_LANES: Final = ("/healthz", "/readyz")
"""Each has a thread of its own, so that a busy portal is not taken for a dead one."""


class Front:
    """Serves a WSGI application with `threads` threads."""

    def __init__(self, application: Application, threads: int | None = None, seconds: float = BODY_SECONDS) -> None:
        count = threads or settings.WEB_THREADS
        self._application, self._seconds = application, seconds
        self._threads = ThreadPoolExecutor(count, "request")
        self._lanes = {path: ThreadPoolExecutor(1, path.strip("/")) for path in _LANES}
        self._streams = threading.BoundedSemaphore(max(1, count // 2))
        self._budget = BodyBudget()
        self._known = KnownCallers()
        self._waiting = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "http":
            await self._respond(scope, receive, send)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        raise_file_limit()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        for pool in (self._threads, *self._lanes.values()):
            pool.shutdown(wait=False, cancel_futures=True)
        await send({"type": "lifespan.shutdown.complete"})

    async def _respond(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = IncomingBody(receive, self._budget, self._seconds)
        try:
            _check_framing(scope)
            answered = await self._read(scope, body, send)
            if not answered:
                await self._run(scope, body, receive, send)
        except Refused as refusal:
            await _refuse(scope, refusal, send, body, receive)
        except Disconnected:
            return
        finally:
            body.close()

    async def _read(self, scope: Scope, body: IncomingBody, send: Send) -> bool:
        """Read the whole body; True where the caller may not send one and was told so. Raises as IncomingBody does."""
        if not _has_body(scope):
            return False
        limit = body_limit(scope["path"])
        declared = _declared_length(scope)
        if declared > limit:
            raise _too_large(limit)
        # Even where more was declared: a client that sends slowly costs neither a thread nor a query.
        await body.read(min(DEFAULT, limit))
        if not body.is_whole and limit > DEFAULT:
            rejection = None if self._known.has(scope) else await self._rejection(scope)
            if rejection is not None:
                await _send_whole(rejection, send)
                return True
            await body.read(limit)
        if len(body) > limit or not body.is_whole:
            raise _too_large(limit)
        return False

    async def _rejection(self, scope: Scope) -> Answer | None:
        """Return what the application answers to a caller that may not use this URL; None for others."""

        def ask() -> Answer:
            answer = call(self._application, environ(scope, b"", preflight=True))
            answer.close()
            return answer

        answer: Answer = await self._in_thread(scope, ask)
        if answer.status >= 300:
            return answer
        self._known.add(scope)
        return None

    async def _run(self, scope: Scope, body: IncomingBody, receive: Receive, send: Send) -> None:
        given = environ(scope, body.content())
        body.close()
        loop, gone = asyncio.get_running_loop(), threading.Event()
        watches: list[asyncio.Task[None]] = []

        def send_from_thread(message: MutableMapping[str, Any]) -> None:
            asyncio.run_coroutine_threadsafe(send(message), loop).result(SEND_SECONDS)

        def run() -> Answer | None:
            """Return the answer; None where it was a stream, which was sent from here."""
            answer = call(self._application, given)
            try:
                if answer.rest is None:
                    return answer
                # Only what goes on for a while: to watch each request would cost a task for each.
                loop.call_soon_threadsafe(lambda: watches.append(loop.create_task(_note_disconnect(receive, gone))))
                self._stream(answer, send_from_thread, gone)
                return None
            finally:
                answer.close()

        try:
            answer = await self._in_thread(scope, run)
            if answer is not None:
                if answer.status in (401, 403):
                    self._known.remove(scope)
                await _send_whole(answer, send)
        finally:
            for watch in watches:
                watch.cancel()

    def _stream(self, answer: Answer, send: Callable[[MutableMapping[str, Any]], None], gone: threading.Event) -> None:
        """Send a response that is too long to collect. It keeps a thread, so half of them at most do this."""
        if answer.rest is None or not self._streams.acquire(blocking=False):
            raise Refused(503, "busy", "Too many exports at the moment. Try again.")
        try:
            send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
            send({"type": "http.response.body", "body": answer.first, "more_body": True})
            for chunk in answer.rest:
                if gone.is_set():
                    return
                send({"type": "http.response.body", "body": chunk, "more_body": True})
            send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            self._streams.release()

    async def _in_thread(self, scope: Scope, work: Callable[[], Any]) -> Any:
        """Return what `work` returns in a thread. Raises Refused (503) where too many requests wait for one."""
        pool = self._lanes.get(scope["path"], self._threads)
        if self._waiting >= MAX_WAITING:
            raise Refused(503, "busy", "Too many requests at the moment. Try again.")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(pool, work)
        finally:
            self._waiting -= 1


def _has_body(scope: Scope) -> bool:
    return any(name in (b"content-length", b"transfer-encoding") for name, _ in scope["headers"])


def _check_framing(scope: Scope) -> None:
    """Refuse a body that is framed in two ways: a proxy may have read the other, and taken what follows for a request.

    It is the last request of its connection (RFC 9112, section 6.1).
    """
    if {b"content-length", b"transfer-encoding"} <= {name for name, _ in scope["headers"]}:
        raise Refused(400, "invalid", "Send Content-Length or Transfer-Encoding, not both.")


def _declared_length(scope: Scope) -> int:
    """Return Content-Length; 0 without one. h11 has refused values that are no numbers."""
    return next((int(value) for name, value in scope["headers"] if name == b"content-length"), 0)


def _too_large(limit: int) -> Refused:
    return Refused(413, "too_large", f"The body may have at most {size(limit)}.")


async def _note_disconnect(receive: Receive, gone: threading.Event) -> None:
    with contextlib.suppress(asyncio.CancelledError):
        while (await receive())["type"] != "http.disconnect":
            pass
        gone.set()


async def _send_whole(answer: Answer, send: Send) -> None:
    await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
    await send({"type": "http.response.body", "body": answer.first, "more_body": False})


async def _refuse(scope: Scope, refusal: Refused, send: Send, body: IncomingBody, receive: Receive) -> None:
    """Send the refusal: one line of JSON to API clients, of text to others."""
    is_api = scope["path"].startswith("/api/")
    text = json.dumps({"code": refusal.code, "message": refusal.message}) if is_api else refusal.message
    content = text.encode() + b"\n"
    headers = [
        (b"content-type", b"application/json" if is_api else b"text/plain; charset=utf-8"),
        (b"content-length", str(len(content)).encode()),
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
        (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
        *([(b"retry-after", b"1")] if refusal.status == 503 else []),
        *([(b"connection", b"close")] if refusal.status == 400 else []),
    ]
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": content, "more_body": True})
    if not body.is_whole:
        await _drain(receive)
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _drain(receive: Receive) -> None:
    """Discard what the client still sends."""
    left = DRAIN_BYTES
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(DRAIN_SECONDS):
            while left > 0:
                message = await receive()
                if message["type"] == "http.disconnect" or not message.get("more_body", False):
                    return
                left -= len(message.get("body", b""))
