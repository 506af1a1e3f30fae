"""Reads a request's body from its client: bounded, against a deadline, and within what one process may hold."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any, Final

from portal.body_limits import MIB

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

BODY_SECONDS: Final = 10.0
"""Time for a body, and one second more for each BYTES_PER_SECOND that arrived."""
BYTES_PER_SECOND: Final = 16 * 1024
BUDGET: Final = 256 * MIB
"""Bytes of bodies that one process holds at a time."""


class Disconnected(Exception):
    """The client has gone: there is nobody to answer."""


@dataclass
class Refused(Exception):
    """The body was not read to its end; the status says why."""

    status: int
    code: str
    message: str


class BodyBudget:
    """The bytes that all unfinished requests of a process hold together."""

    def __init__(self, total: int = BUDGET) -> None:
        self.free = total

    def take(self, count: int) -> None:
        """Reserve bytes. Raises Refused (503)."""
        if count > self.free:
            raise Refused(503, "busy", "Too many large requests at the moment. Try again.")
        self.free -= count

    def give_back(self, count: int) -> None:
        self.free += count


class IncomingBody:
    """One request's body. `close` gives back what it holds of the budget."""

    def __init__(self, receive: Receive, budget: BodyBudget, seconds: float = BODY_SECONDS) -> None:
        self._receive, self._budget = receive, budget
        self._seconds, self._started = seconds, time.monotonic()
        self._parts: list[bytes] = []
        self._held = 0
        self.is_whole = False

    async def read(self, limit: int) -> None:
        """Read on until the body is whole or longer than `limit`. Raises Refused (408, 503), Disconnected."""
        while not self.is_whole and self._held <= limit:
            message = await self._next()
            part = message.get("body", b"")
            self._budget.take(len(part))
            self._held += len(part)
            self._parts.append(part)
            self.is_whole = not message.get("more_body", False)

    def content(self) -> bytes:
        return b"".join(self._parts)

    def __len__(self) -> int:
        return self._held

    def close(self) -> None:
        """Forget the content."""
        self._parts.clear()
        self._budget.give_back(self._held)
        self._held = 0

    async def _next(self) -> MutableMapping[str, Any]:
        left = self._started + self._seconds + self._held / BYTES_PER_SECOND - time.monotonic()
        try:
            message = await asyncio.wait_for(self._receive(), max(left, 0.001))
        except TimeoutError:
            raise Refused(408, "too_slow", "The body was not received in time.") from None
        if message["type"] == "http.disconnect":
            raise Disconnected
        return message
