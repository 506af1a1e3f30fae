"""The push gateway's stream: a hint that there is a policy to fetch, within a second of its Save."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Final

import msgspec

from sensor.delivery.client import STREAM_SILENCE, PortalClient, PortalError, PortalUnavailable
from sensor.delivery.lifecycle import Backoff, Lifecycle, jittered

MAX_EVENT: Final = 64 * 1024
"""Bytes of one server-sent event; a gateway sends some hundred."""
MAX_WITHIN_SECONDS: Final = 600.0
"""Seconds that a sensor waits before it asks, whatever it is told; its poll comes every 300 anyway."""
RECONNECT_WITHIN: Final = 5.0
"""Seconds over which sensors spread when a gateway restarts and all reconnect."""

log = logging.getLogger(__name__)


class StreamData(msgspec.Struct):
    """What an event carries: the epoch, and in how many seconds those told should have asked."""

    epoch: int | None = None
    within: float = 0.0


class PolicyStream:
    """Listens and calls `changed`: when connected, at every `policy` event, and when the epoch changes.

    `changed` is given the seconds over which this sensor and all others that were told spread their questions.
    """

    def __init__(
        self,
        portal: PortalClient,
        running: Lifecycle,
        changed: Callable[[float], None],
        reconnect_within: float = RECONNECT_WITHIN,
    ) -> None:
        self._portal, self._running, self._changed = portal, running, changed
        self._reconnect_within = reconnect_within
        self._backoff = Backoff(longest=300.0)
        self._epoch: int | None = None

    def step(self) -> None:
        """One connection, from ticket to end, and the pause after it."""
        try:
            self._listen()
        except PortalError as error:
            self._running.answered(error)
            seconds = self._backoff.next(error.retry_after if isinstance(error, PortalUnavailable) else None)
            log.info("Push stream: %s; again in %.0f s, polling meanwhile", error, seconds)
            self._running.pause(seconds)
        else:
            self._running.pause(jittered(self._reconnect_within, 1.0))

    def _listen(self) -> None:
        with self._portal.stream(self._portal.ticket()) as chunks:
            log.info("Push stream connected")
            self._backoff.reset()
            self._changed(0.0)  # whatever was pushed while nobody listened
            for name, data in named_events(server_sent_events(chunks), STREAM_SILENCE):
                if self._running.stopping.is_set():
                    return
                self._take(name, data)

    def _take(self, name: str, data: bytes) -> None:
        if name not in {"policy", "keepalive"}:
            return
        said = _said(data)
        if name == "policy" or (self._epoch is not None and said.epoch != self._epoch):
            self._changed(min(max(said.within, 0.0), MAX_WITHIN_SECONDS))
        if name == "keepalive":
            self._epoch = said.epoch


def _said(data: bytes) -> StreamData:
    try:
        return msgspec.json.decode(data, type=StreamData)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise PortalUnavailable("the push gateway sent an event that is none") from None


def server_sent_events(chunks: Iterable[bytes]) -> Iterator[tuple[str, bytes]]:
    """Server-sent events as (name, data); ("", b"") for each chunk that completes none.

    Raises Unavailable where one is longer than 64 KiB.
    """
    buffer = b""
    for chunk in chunks:
        buffer = (buffer + chunk).replace(b"\r\n", b"\n")
        *whole, buffer = buffer.split(b"\n\n")
        if len(buffer) > MAX_EVENT:
            raise PortalUnavailable("the push gateway sent an endless event")
        yield from map(_event, whole) if whole else [("", b"")]


def _event(block: bytes) -> tuple[str, bytes]:
    fields: dict[bytes, list[bytes]] = {}
    for line in block.split(b"\n"):
        name, _, value = line.partition(b":")
        fields.setdefault(name, []).append(value.removeprefix(b" "))
    name = fields.get(b"event", [b"message" if b"data" in fields else b""])[-1]
    return name.decode(errors="replace"), b"\n".join(fields.get(b"data", []))


def named_events(
    found: Iterable[tuple[str, bytes]], silence: float, clock: Callable[[], float] = time.monotonic
) -> Iterator[tuple[str, bytes]]:
    """The named events of `found`. Raises Unavailable once bytes came for `silence` seconds without one."""
    last = clock()
    for name, data in found:
        if name:
            last = clock()
            yield name, data
        elif clock() - last > silence:
            raise PortalUnavailable("the push stream sent no keep-alive for a minute")
