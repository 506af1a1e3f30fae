"""The push gateway's stream: a hint that there is a policy to fetch, within a second of its Save."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Final

import msgspec

from sensor.delivery.backoff import Backoff, jittered
from sensor.delivery.client import STREAM_SILENCE, PortalClient, PortalError, PortalUnavailable
from sensor.delivery.lifecycle import Lifecycle
from sensor.wire import json_bytes

MAX_EVENT_BYTES: Final = 64 * 1024
"""Bytes of one server-sent event; a gateway sends a few hundred."""
MAX_WITHIN_SECONDS: Final = 600.0
"""Longest spread that a gateway can set; the sensor polls every 300 s anyway."""
RECONNECT_WITHIN: Final = 5.0
"""Seconds over which sensors spread when a gateway restarts and all reconnect."""

log = logging.getLogger(__name__)


class StreamData(msgspec.Struct):
    """The data of a stream event: the delivery epoch, and the seconds over which all its recipients should spread."""

    epoch: int | None = None
    within: float = 0.0


class PolicyStream:
    """Listens, and calls `changed` when connected, at every `policy` event, and when the epoch changes.

    `changed` gets the seconds over which this sensor spreads its request.
    """

    def __init__(
        self,
        portal: PortalClient,
        lifecycle: Lifecycle,
        changed: Callable[[float], None],
        reconnect_within: float = RECONNECT_WITHIN,
    ) -> None:
        self._portal, self._lifecycle, self._changed = portal, lifecycle, changed
        self._reconnect_within = reconnect_within
        self._backoff = Backoff(longest=300.0)
        self._epoch: int | None = None

    def step(self) -> None:
        """Hold one connection, from ticket to end, then pause."""
        try:
            self._listen()
        except PortalError as error:
            self._lifecycle.record_answer(error)
            seconds = self._backoff.next(error.retry_after if isinstance(error, PortalUnavailable) else None)
            log.info("Push stream: %s; reconnecting in %.0f s, polling until then", error, seconds)
            self._lifecycle.pause(seconds)
        else:
            self._lifecycle.pause(jittered(self._reconnect_within, 1.0))

    def _listen(self) -> None:
        with self._portal.stream(self._portal.ticket()) as chunks:
            log.info("Push stream connected")
            self._backoff.reset()
            self._changed(0.0)  # a version may have been pushed while no stream was open
            for name, data in named_events(server_sent_events(chunks), STREAM_SILENCE):
                if self._lifecycle.stopping.is_set():
                    return
                self._handle(name, data)

    def _handle(self, name: str, data: bytes) -> None:
        if name not in {"policy", "keepalive"}:
            return
        try:
            decoded = json_bytes.decode(data, StreamData)
        except msgspec.DecodeError:
            raise PortalUnavailable("the push gateway sent an invalid event") from None
        # Another epoch in a keep-alive: this stream missed a push.
        if name == "policy" or (self._epoch is not None and decoded.epoch != self._epoch):
            self._changed(min(max(decoded.within, 0.0), MAX_WITHIN_SECONDS))
        if name == "keepalive":
            self._epoch = decoded.epoch


def server_sent_events(chunks: Iterable[bytes]) -> Iterator[tuple[str, bytes]]:
    """Yield server-sent events as (name, data); ("", b"") for each chunk that completes none.

    Raises PortalUnavailable where an event is longer than 64 KiB.
    """
    buffer = b""
    for chunk in chunks:
        buffer = (buffer + chunk).replace(b"\r\n", b"\n")
        *whole, buffer = buffer.split(b"\n\n")
        if len(buffer) > MAX_EVENT_BYTES:
            raise PortalUnavailable("the push gateway sent an endless event")
        yield from map(_parsed, whole) if whole else [("", b"")]


def _parsed(block: bytes) -> tuple[str, bytes]:
    fields: dict[bytes, list[bytes]] = {}
    for line in block.split(b"\n"):
        name, _, value = line.partition(b":")
        fields.setdefault(name, []).append(value.removeprefix(b" "))
    name = fields.get(b"event", [b"message" if b"data" in fields else b""])[-1]
    return name.decode(errors="replace"), b"\n".join(fields.get(b"data", []))


def named_events(
    events: Iterable[tuple[str, bytes]], silence: float, clock: Callable[[], float] = time.monotonic
) -> Iterator[tuple[str, bytes]]:
    """Yield the events that have a name. Raises PortalUnavailable once bytes came for `silence` seconds without one.

    Bytes alone prove nothing: a proxy in between may keep a dead gateway's connection open with comments.
    """
    last = clock()
    for name, data in events:
        if name:
            last = clock()
            yield name, data
        elif clock() - last > silence:
            raise PortalUnavailable("the push stream sent no keep-alive for a minute")
