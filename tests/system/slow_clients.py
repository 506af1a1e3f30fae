"""Clients that send or read slowly, by the hundred, on one event loop in a thread of its own.

`python -m tests.system.slow_clients URL KIND COUNT` holds them for 30 s and prints how quickly others are served.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from urllib.parse import urlsplit

import httpx

PAUSE = 0.5
"""Seconds between two bytes of a slow client."""
Opened = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def head(path: str, *lines: str, method: str = "POST") -> bytes:
    """Return the head of a request without its last, empty line."""
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", *lines, ""]).encode()


async def _trickle(opened: Opened, first: bytes, piece: bytes) -> None:
    """Send `first` at once, then `piece` for ever, until the server has had enough."""
    _, writer = opened
    writer.write(first)
    while not writer.is_closing():
        await writer.drain()
        await asyncio.sleep(PAUSE)
        writer.write(piece)


async def _read_slowly(opened: Opened, path: str) -> None:
    """Request a large file, and read a byte of it now and then."""
    reader, writer = opened
    writer.write(head(path, method="GET") + b"\r\n")
    await writer.drain()
    while await reader.read(1):
        await asyncio.sleep(PAUSE)


LARGE = "/static/vendor/uplot.esm.js"
KINDS: dict[str, Callable[[Opened], Awaitable[None]]] = {
    "no headers": lambda opened: _trickle(opened, b"", b""),
    "slow headers": lambda opened: _trickle(opened, head("/sign-in/"), b"X-A: b\r\n"),
    "slow body": lambda opened: _trickle(
        opened,
        head(
            "/sign-in/",
            f"Cookie: csrftoken={32 * 'a'}",
            "Content-Length: 60000",
            "Content-Type: application/x-www-form-urlencoded",
        )
        + b"\r\n",
        b"a",
    ),
    "slow chunked body": lambda opened: _trickle(
        opened, head("/sign-in/", "Transfer-Encoding: chunked") + b"\r\n", b"1\r\na\r\n"
    ),
    "slow batch of events": lambda opened: _trickle(
        opened,
        head("/api/v1/sensors/me/events", "Authorization: Bearer dws_wrong", "Content-Length: 8000000") + b"\r\n",
        b"{",
    ),
    "slow reader": lambda opened: _read_slowly(opened, LARGE),
}


class SlowClients:
    """`count` connections of one kind, each replaced as soon as the server ends it."""

    def __init__(self, url: str, kind: str, count: int) -> None:
        parts = urlsplit(url)
        self._address = (parts.hostname or "127.0.0.1", parts.port or 80)
        self._client, self._count = KINDS[kind], count
        self.connected = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._all(),), daemon=True)
        self._stop = asyncio.Event()

    def __enter__(self) -> SlowClients:
        self._thread.start()
        deadline = time.monotonic() + 10
        while self.connected < self._count and time.monotonic() < deadline:
            time.sleep(0.05)
        return self

    def __exit__(self, *error: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    async def _all(self) -> None:
        tasks = [asyncio.create_task(self._again_and_again()) for _ in range(self._count)]
        await self._stop.wait()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _again_and_again(self) -> None:
        while True:
            with contextlib.suppress(OSError):
                await self._once()
            await asyncio.sleep(PAUSE)

    async def _once(self) -> None:
        raw = socket.socket()
        # A small window, so that a slow reader is not spared by its kernel.
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        raw.setblocking(False)
        await asyncio.wait_for(asyncio.get_running_loop().sock_connect(raw, self._address), 30)
        opened = await asyncio.open_connection(sock=raw, limit=4096)
        self.connected += 1
        try:
            await self._client(opened)
        finally:
            self.connected -= 1
            opened[1].transport.abort()


def waits(request: Callable[[], httpx.Response], seconds: float) -> Iterator[float]:
    """Yield how long each of many requests took; a failed one takes for ever."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        started = time.monotonic()
        try:
            took = time.monotonic() - started if request().is_success else float("inf")
        except httpx.HTTPError:
            took = float("inf")
        yield took if took == float("inf") else time.monotonic() - started
        time.sleep(0.02)


def percentile(values: list[float], share: float) -> float:
    """Return the value below which this share of them lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def main() -> None:
    url, kinds, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
    for kind in KINDS if kinds == "all" else [kinds]:
        with SlowClients(url, kind, count) as slow:
            time.sleep(3)
            found = list(waits(lambda: httpx.get(f"{url}/sign-in/", timeout=10), 20))
            served = [each for each in found if each != float("inf")]
            print(
                f"{kind:<22} {slow.connected:>4} connected; {len(served)} of {len(found)} pages served; "
                f"p50 {percentile(found, 0.5):.3f} s, p99 {percentile(found, 0.99):.3f} s",
                flush=True,
            )


if __name__ == "__main__":
    main()
