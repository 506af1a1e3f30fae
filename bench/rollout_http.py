"""A small asynchronous HTTP client for the benchmark's sensors: kept connections, and streams that never end."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass


class Unavailable(Exception):
    """No answer, or one that means "later" (5xx)."""


@dataclass(frozen=True)
class Answer:
    """`status` and body of one answer."""

    status: int
    body: bytes


class Pool:
    """So many kept connections to one server, shared by all callers: the next free one carries a request."""

    def __init__(self, port: int, size: int, timeout: float = 60.0) -> None:
        self._port, self._timeout = port, timeout
        self._free: asyncio.Queue[_Connection | None] = asyncio.Queue()
        for _ in range(size):
            self._free.put_nowait(None)

    async def request(self, method: str, path: str, credential: str, body: bytes = b"", extra: str = "") -> Answer:
        """The server's answer. Raises Unavailable; a connection that failed is opened anew for the next."""
        head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {credential}\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n{extra}\r\n"
        connection, kept = await self._free.get(), None
        try:
            async with asyncio.timeout(self._timeout):
                connection = connection or await _Connection.open(self._port)
                answer = await connection.exchange(head.encode() + body)
            kept = connection
        except (OSError, asyncio.IncompleteReadError, ValueError) as error:
            raise Unavailable(str(error)) from None
        finally:
            if connection is not None and kept is None:
                connection.close()
            self._free.put_nowait(kept)
        if answer.status >= 500:
            raise Unavailable(f"{answer.status} {answer.body[:200]!r}")
        return answer


class _Connection:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def open(cls, port: int) -> _Connection:
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def exchange(self, raw: bytes) -> Answer:
        self._writer.write(raw)
        head = await self._reader.readuntil(b"\r\n\r\n")
        status = int(head[9:12])
        length = 0
        for line in head.split(b"\r\n")[1:]:
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        return Answer(status, await self._reader.readexactly(length) if length else b"")

    def close(self) -> None:
        self._writer.close()


class EventStream:
    """One open stream of server-sent events."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def open(cls, port: int, ticket: str) -> EventStream:
        """Raises Unavailable where the gateway does not answer 200."""
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(f"GET /stream HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ticket}\r\n\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")
        except (OSError, asyncio.IncompleteReadError) as error:
            raise Unavailable(str(error)) from None
        if b" 200 " not in head.split(b"\r\n", 1)[0]:
            writer.close()
            raise Unavailable(head.decode(errors="replace")[:40])
        return cls(reader, writer)

    async def next(self) -> tuple[str, bytes]:
        """(name, data) of the next event; chunk sizes between events are passed over. Raises Unavailable at the end."""
        try:
            block = await self._reader.readuntil(b"\n\n")
        except (OSError, asyncio.IncompleteReadError) as error:
            raise Unavailable(str(error)) from None
        event = block[block.index(b"event: ") + 7 : -2]
        name, _, data = event.partition(b"\ndata: ")
        return name.decode(), data

    def close(self) -> None:
        self._writer.close()
