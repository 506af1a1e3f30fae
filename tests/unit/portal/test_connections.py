"""Connections of a real server whose deadlines are a fraction of a second."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator, MutableMapping
from typing import Any, ClassVar

import pytest
import uvicorn

from portal import connections
from portal.connections import BoundedProtocol

PATIENCE = 30.0
HEAD = b"GET / HTTP/1.1\r\nHost: here\r\n\r\n"


class FewConnections(BoundedProtocol):
    max_connections: ClassVar = 4
    max_half_open: ClassVar = 3


async def application(scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
    """/ answers at once, /large with 4 MiB, /busy never."""
    if scope["path"] == "/busy":
        await asyncio.sleep(PAUSED)
    body = b"x" * (4 * 1024 * 1024 if scope["path"] == "/large" else 2)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


PAUSED = 3600.0


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The port of a server with four connections, three of them half open."""
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.3)
    monkeypatch.setattr(connections, "STALL_SECONDS", 0.3)
    monkeypatch.setattr(connections, "SWEEP_SECONDS", 0.05)
    with serving(FewConnections) as found:
        yield found


@contextlib.contextmanager
def serving(protocol: type[BoundedProtocol]) -> Iterator[int]:
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    config = uvicorn.Config(application, http=protocol, lifespan="off", log_level="error", timeout_graceful_shutdown=0)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    until(lambda: server.started)
    yield listener.getsockname()[1]
    server.should_exit = True
    thread.join(PATIENCE)


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def connected(port: int, sent: bytes = b"") -> socket.socket:
    opened = socket.socket()
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    opened.connect(("127.0.0.1", port))
    opened.settimeout(PATIENCE)
    opened.sendall(sent)
    return opened


def is_ended(opened: socket.socket) -> bool:
    """Wait until the server has closed the connection; False where it sends something instead."""
    try:
        return opened.recv(1) == b""
    except ConnectionResetError:
        return True


@pytest.mark.parametrize(
    "sent", [b"", b"G", b"GET / HTTP/1.1\r\nHost: here\r\nX-A: b\r\n"], ids=["none", "one byte", "most"]
)
def test_a_connection_without_a_whole_head_is_closed(port: int, sent: bytes) -> None:
    assert is_ended(connected(port, sent))


def test_bytes_that_keep_coming_do_not_extend_the_deadline_of_a_head(port: int) -> None:
    opened = connected(port, b"GET / HTTP/1.1\r\n")
    started = time.monotonic()

    with contextlib.suppress(OSError):
        while time.monotonic() - started < PATIENCE:
            opened.sendall(b"X-A: b\r\n")
            time.sleep(0.02)

    assert time.monotonic() - started < PATIENCE


def test_the_head_of_a_second_request_has_a_deadline_too(port: int) -> None:
    opened = connected(port, HEAD)
    received = b""
    while not received.endswith(b"\r\n0\r\n\r\n"):  # the end of its body, which may come after the body
        part = opened.recv(4096)
        assert part
        received += part

    opened.sendall(b"GET")

    assert is_ended(opened)


def test_a_client_that_does_not_read_its_response_is_disconnected(port: int) -> None:
    opened = connected(port, HEAD.replace(b"/", b"/large", 1))
    time.sleep(2)

    received = b""
    with contextlib.suppress(ConnectionResetError):
        while part := opened.recv(65536):
            received += part

    assert len(received) < 4 * 1024 * 1024


def test_a_client_that_reads_steadily_gets_all_of_a_large_response(port: int) -> None:
    opened = connected(port, HEAD.replace(b"/", b"/large", 1))

    received = 0
    while received < 4 * 1024 * 1024:
        part = opened.recv(65536)
        assert part
        received += len(part)


def test_a_request_that_the_application_works_on_has_no_deadline(port: int) -> None:
    opened = connected(port, HEAD.replace(b"/", b"/busy", 1))
    opened.settimeout(1.5)

    with pytest.raises(TimeoutError):
        opened.recv(1)


def test_where_an_address_has_too_many_half_open_connections_the_oldest_ends(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "HEAD_SECONDS", PAUSED)
    opened = []
    for _ in range(3):
        opened.append(connected(port, b"G"))
        time.sleep(0.05)

    last = connected(port, HEAD)

    assert is_ended(opened[0])
    assert last.recv(8) == b"HTTP/1.1"


def test_where_all_connections_are_taken_the_one_that_has_waited_longest_for_its_client_ends(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "HEAD_SECONDS", PAUSED)
    busy = connected(port, HEAD.replace(b"/", b"/busy", 1))
    slow = []
    for _ in range(3):
        slow.append(connected(port, b"POST / HTTP/1.1\r\nHost: here\r\nContent-Length: 9\r\n\r\n"))
        slow[-1].recv(4096)
        time.sleep(0.05)
    idle = connected(port, HEAD)
    time.sleep(0.1)

    last = connected(port, HEAD)

    assert last.recv(8) == b"HTTP/1.1" and idle is not last
    busy.settimeout(0.3)
    with pytest.raises(TimeoutError):
        busy.recv(1)


def test_a_new_connection_ends_where_all_others_are_served(port: int) -> None:
    busy = [connected(port, HEAD.replace(b"/", b"/busy", 1)) for _ in range(4)]
    time.sleep(0.2)

    assert is_ended(connected(port))
    assert len(busy) == 4


def test_what_follows_an_answer_that_came_before_the_body_is_not_read_on(port: int) -> None:
    opened = connected(port, b"POST / HTTP/1.1\r\nHost: here\r\nContent-Length: 900000000\r\n\r\n")

    received = b""
    with contextlib.suppress(ConnectionResetError):
        while part := opened.recv(4096):
            received += part

    assert b"xx" in received
