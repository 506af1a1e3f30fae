"""uvicorn's HTTP/1.1 protocol with deadlines and bounds, so that no client can hold what others need.

Standard library, h11 and uvicorn only: the gateway, which has no Django, uses it too. The bounds are
explained in docs/security.md#slow-clients-and-large-bodies.
"""

from __future__ import annotations

import asyncio
import resource
import socket
from typing import Any, ClassVar, Final, cast

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_SECONDS: Final = 10.0
"""From the connection, or a request's first byte, to the end of its headers."""
STALL_SECONDS: Final = 20.0
"""Seconds over which a client that has a response to read takes STALL_BYTES of it, or loses the connection."""
STALL_BYTES: Final = 32 * 1024
UNACKNOWLEDGED_MILLISECONDS: Final = 60_000
SWEEP_SECONDS: Final = 1.0
SPARE_FILES: Final = 128
"""Descriptors left for the database, static files and the like."""


class BoundedProtocol(H11Protocol):
    """One connection. Where all are taken, the one that has waited longest for its client makes room.

    So clients that send or read slowly, however many, only ever displace each other.
    """

    max_connections: ClassVar = 4096
    max_half_open: ClassVar = 128
    """Connections per client address that have not sent a whole request head yet."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.waiting_since: float | None = None
        """When this connection began to wait for its client's bytes; None while it waits for the application."""
        self._head_since: float | None = None
        self._stalled_since: float | None = None
        self._unsent = 0

    @property
    def is_half_open(self) -> bool:
        return self._head_since is not None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        # A peer that vanished is noticed by what it does not acknowledge, rather than after the kernel's 15 minutes.
        opened = cast("socket.socket", transport.get_extra_info("socket"))
        if opened.family in (socket.AF_INET, socket.AF_INET6):
            opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNACKNOWLEDGED_MILLISECONDS)
        self.waiting_since = self._head_since = self.loop.time()
        peers = [each for each in self._peers() if each is not self and not each.transport.is_closing()]
        half_open = [each for each in peers if each.is_half_open and each._address == self._address]
        if len(half_open) >= self.max_half_open:
            _longest_waiting(half_open).drop()
        elif len(peers) >= self._limit():
            waiting = [each for each in peers if each.waiting_since is not None]
            (_longest_waiting(waiting) if waiting else self).drop()
        _sweep_regularly(self)

    def data_received(self, data: bytes) -> None:
        if self._head_since is None and self._is_between_requests():
            self._head_since = self.loop.time()
        super().data_received(data)
        self._note_progress()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.conn.their_state is h11.SEND_BODY:
            # The rest of a body that nobody reads is no next request; uvicorn would discard it without an end.
            self.transport.close()
        self._note_progress()

    def check(self, now: float) -> None:
        """End the connection where its client has used up its time."""
        has_no_head = self._head_since is not None and now - self._head_since > HEAD_SECONDS
        if has_no_head or self._is_stalled(now):
            self.drop()

    def drop(self) -> None:
        """Close at once: `close` would wait for the client to read what is left."""
        self.transport.abort()

    @property
    def _address(self) -> str:
        return self.client[0] if self.client else ""

    def _peers(self) -> set[BoundedProtocol]:
        return cast("set[BoundedProtocol]", self.connections)

    def _limit(self) -> int:
        return min(self.max_connections, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - SPARE_FILES)

    def _is_between_requests(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _note_progress(self) -> None:
        """Keep what this connection waits for, after something was received or sent."""
        if not self._is_between_requests():
            self._head_since = None
        is_sending_body = self.conn.their_state is h11.SEND_BODY
        if not (self._is_between_requests() or is_sending_body):
            self.waiting_since = None
        elif self.waiting_since is None:
            self.waiting_since = self.loop.time()

    def _is_stalled(self, now: float) -> bool:
        unsent = self.transport.get_write_buffer_size()
        if not unsent:
            self._stalled_since = None
        elif self._stalled_since is None or unsent <= self._unsent - STALL_BYTES:
            self._stalled_since, self._unsent = now, unsent
        elif unsent > self._unsent:
            # A stream that goes on: what was added does not count as progress, nor against the client.
            self._unsent = unsent
        return self._stalled_since is not None and now - self._stalled_since > STALL_SECONDS


class StreamProtocol(BoundedProtocol):
    """For the push gateway, where every sensor keeps a connection."""

    max_connections: ClassVar = 20_000


def raise_file_limit() -> None:
    """Let this process have as many descriptors as the system allows it: each connection takes one."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _longest_waiting(connections: list[BoundedProtocol]) -> BoundedProtocol:
    return min(connections, key=lambda each: each.waiting_since or 0.0)


def _sweep_regularly(connection: BoundedProtocol) -> None:
    """Check all connections of this server every SWEEP_SECONDS, as long as there are any."""
    # One timer for all: with 10,000 streams a timer each would cost more than what they send.
    state: Any = connection.server_state
    if getattr(state, "is_swept", False):
        return
    state.is_swept = True
    loop = connection.loop

    def sweep() -> None:
        now = loop.time()
        for each in list(connection._peers()):
            each.check(now)
        state.is_swept = bool(connection._peers())
        if state.is_swept:
            loop.call_later(SWEEP_SECONDS, sweep)

    loop.call_later(SWEEP_SECONDS, sweep)
