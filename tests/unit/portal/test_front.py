"""What stands in front of Django, called without a server: how much it reads, from whom, and what holds a thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable, Iterator, MutableMapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from portal.access import TABLE
from portal.body_limits import DEFAULT, LARGEST, MIB, PREFLIGHT
from portal.front import known_callers
from portal.front.app import Front
from portal.front.bodies import BodyBudget, IncomingBody, Refused
from portal.front.known_callers import KnownCallers

MESSAGE = MutableMapping[str, Any]
PATIENCE = 30.0


@dataclass
class Client:
    """A request, what was taken of its body, and the response."""

    path: str
    chunks: Iterable[bytes] = ()
    method: str = "POST"
    headers: dict[str, str] = field(default_factory=dict)
    stalls: bool = False
    """After the chunks it sends nothing more, and does not leave."""
    taken: int = 0
    status: int = 0
    body: bytes = b""
    sent: list[MESSAGE] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._left = iter(self.chunks)
        self._ended = False

    @property
    def scope(self) -> dict[str, Any]:
        has_body = self.chunks or self.stalls
        is_chunked = has_body and "Content-Length" not in self.headers
        headers = ({"Transfer-Encoding": "chunked"} if is_chunked else {}) | self.headers
        return {
            "type": "http",
            "method": self.method,
            "path": self.path,
            "raw_path": self.path.encode(),
            "query_string": b"",
            "http_version": "1.1",
            "scheme": "http",
            "server": ("127.0.0.1", 80),
            "client": ("192.0.2.1", 1234),
            "headers": [(b"host", b"127.0.0.1"), *((k.lower().encode(), v.encode()) for k, v in headers.items())],
        }

    async def receive(self) -> MESSAGE:
        for chunk in self._left:
            self.taken += len(chunk)
            return {"type": "http.request", "body": chunk, "more_body": True}
        if self._ended or self.stalls:
            await asyncio.sleep(PATIENCE)
        self._ended = True
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(self, message: MESSAGE) -> None:
        self.sent.append(message)
        self.status = message.get("status", self.status)
        self.body += message.get("body", b"")

    async def request(self, front: Front) -> None:
        async with asyncio.timeout(PATIENCE):
            await front(self.scope, self.receive, self.send)


def echo(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answer with the length of the body; a preflight with 401 unless a header allows it."""
    if environ[PREFLIGHT]:
        start_response("204 No Content" if environ.get("HTTP_AUTHORIZATION") == "yes" else "401 Unauthorized", [])
        return [b""]
    start_response("200 OK", [("Set-Cookie", " a=b")])
    return [str(len(environ["wsgi.input"].read())).encode()]


def front(application: Any = echo, threads: int = 2, seconds: float = PATIENCE) -> Front:
    return Front(application, threads, seconds)


def megabytes(count: int) -> Iterator[bytes]:
    for _ in range(count * 16):
        yield b"a" * 65536


EVENTS = "/api/v1/sensors/me/events"


def test_every_url_with_a_limit_of_its_own_is_in_the_permission_table() -> None:
    assert set(LARGEST) <= set(TABLE)


@pytest.mark.parametrize("path", ["/sign-in/", "/api/v1/sensors/enrol", EVENTS, "/policy/", "/no/such/url"])
def test_nothing_is_read_of_a_body_whose_declared_length_is_over_the_limit(path: str) -> None:
    client = Client(path, megabytes(300), headers={"Content-Length": str(300 * MIB)}, stalls=True)

    asyncio.run(client.request(front()))

    assert client.status == 413
    assert client.taken <= 33 * MIB  # discarded while the client reads its refusal


@pytest.mark.parametrize("path", ["/sign-in/", EVENTS])
def test_a_body_that_is_framed_in_two_ways_is_refused_and_ends_its_connection(path: str) -> None:
    """A proxy that went by the length would take the rest for another client's request."""
    headers = {"Content-Length": "5", "Transfer-Encoding": "chunked", "Authorization": "yes"}
    client = Client(path, [b"abcde", b"GET /"], headers=headers)

    asyncio.run(client.request(front()))

    assert client.status == 400
    assert (b"connection", b"close") in client.sent[0]["headers"]


class LowestBudget(BodyBudget):
    """Notes the least that was ever free."""

    def __init__(self) -> None:
        super().__init__()
        self.total = self.lowest = self.free

    def take(self, count: int) -> None:
        super().take(count)
        self.lowest = min(self.lowest, self.free)


@pytest.mark.parametrize("path", ["/sign-in/", "/api/v1/sensors/enrol", EVENTS, "/policy/", "/no/such/url"])
def test_a_stranger_is_refused_after_the_first_64_kib_of_a_chunked_body(path: str) -> None:
    client = Client(path, megabytes(300))
    budget = LowestBudget()
    tried = front()
    tried._budget = budget

    asyncio.run(client.request(tried))

    assert client.status == (401 if path == EVENTS else 413)
    assert budget.total - budget.lowest <= 2 * DEFAULT


def test_a_caller_who_may_send_it_sends_a_large_body() -> None:
    client = Client(EVENTS, megabytes(7), headers={"Authorization": "yes"})

    asyncio.run(client.request(front()))

    assert (client.status, client.body) == (200, str(7 * MIB).encode())


class Door:
    """Accepts the credentials in `accepted`, and counts the preflights."""

    def __init__(self, *accepted: str) -> None:
        self.accepted = set(accepted)
        self.preflights = 0

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        self.preflights += environ[PREFLIGHT]
        known = environ.get("HTTP_AUTHORIZATION") in self.accepted
        start_response(("204 No Content" if environ[PREFLIGHT] else "200 OK") if known else "403 Forbidden", [])
        return [b""]


def _status_of_a_large_batch(tried: Front, credential: str, path: str = EVENTS) -> int:
    client = Client(path, megabytes(1), headers={"Authorization": credential})
    asyncio.run(client.request(tried))
    return client.status


def test_a_credential_that_was_accepted_lately_is_authenticated_once_a_batch() -> None:
    door = Door("a", "b")
    tried = front(door)

    assert [_status_of_a_large_batch(tried, "a") for _ in range(3)] == [200] * 3
    assert door.preflights == 1
    assert _status_of_a_large_batch(tried, "b") == 200
    assert door.preflights == 2


def test_an_accepted_credential_opens_neither_another_url_nor_the_door_to_another_credential() -> None:
    door = Door("a")
    tried = front(door)
    _status_of_a_large_batch(tried, "a")

    assert _status_of_a_large_batch(tried, "A") == 403
    assert _status_of_a_large_batch(tried, "a", "/api/v1/policy/check/") == 200
    assert door.preflights == 3


def test_after_a_credential_is_refused_its_next_body_is_not_read_before_it_is_authenticated() -> None:
    door = Door("a")
    tried = front(door)
    _status_of_a_large_batch(tried, "a")
    door.accepted.clear()

    assert _status_of_a_large_batch(tried, "a") == 403  # this one was read
    budget = LowestBudget()
    tried._budget = budget
    assert _status_of_a_large_batch(tried, "a") == 403
    assert door.preflights == 2
    assert budget.total - budget.lowest <= 2 * DEFAULT


def test_a_credential_is_authenticated_again_when_its_time_has_passed() -> None:
    door = Door("a")
    tried = front(door)
    tried._known = KnownCallers(seconds=0)

    assert [_status_of_a_large_batch(tried, "a") for _ in range(2)] == [200] * 2
    assert door.preflights == 2


def test_the_oldest_credential_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known_callers, "MAX_KNOWN", 2)
    door = Door("a", "b", "c")
    tried = front(door)

    for credential in "abcb":
        _status_of_a_large_batch(tried, credential)
    assert door.preflights == 3
    _status_of_a_large_batch(tried, "a")
    assert door.preflights == 4


def test_more_than_the_limit_is_refused_of_a_caller_who_may_send_it_too() -> None:
    client = Client(EVENTS, megabytes(9), headers={"Authorization": "yes"})

    asyncio.run(client.request(front()))

    assert client.status == 413
    assert client.body == b'{"code": "too_large", "message": "The body may have at most 8 MiB."}\n'


def test_a_body_that_does_not_come_is_a_408_and_gives_back_its_memory() -> None:
    tried, client = front(seconds=0.1), Client("/sign-in/", [b"a" * 1000], stalls=True)
    before = tried._budget.free

    asyncio.run(client.request(tried))

    assert client.status == 408
    assert tried._budget.free == before


def test_slow_bodies_hold_no_thread() -> None:
    async def scene() -> Client:
        tried = front(threads=1)
        slow = [Client("/sign-in/", [b"a"], stalls=True) for _ in range(200)]
        waiting = [asyncio.create_task(each.request(tried)) for each in slow]
        await asyncio.sleep(0)
        quick = Client("/sign-in/", [b"abc"])
        await quick.request(tried)
        assert not any(task.done() for task in waiting)
        for task in waiting:
            task.cancel()
        return quick

    assert asyncio.run(scene()).body == b"3"


def test_health_is_answered_while_every_thread_is_busy() -> None:
    release = threading.Event()

    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/slow/":
            assert release.wait(PATIENCE)
        return echo(environ, start_response)

    async def scene() -> list[int]:
        tried = front(application, threads=1)
        busy = [asyncio.create_task(Client("/slow/").request(tried)) for _ in range(5)]
        await asyncio.sleep(0)
        health = [Client("/healthz", method="GET"), Client("/readyz", method="GET")]
        for each in health:
            await each.request(tried)
        release.set()
        await asyncio.gather(*busy)
        return [each.status for each in health]

    assert asyncio.run(scene()) == [200, 200]


def test_a_request_beyond_the_queue_is_asked_to_try_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("portal.front.app.MAX_WAITING", 0)
    client = Client("/sign-in/")

    asyncio.run(client.request(front()))

    assert client.status == 503
    assert (b"retry-after", b"1") in client.sent[0]["headers"]


def test_bodies_beyond_the_budget_are_asked_to_try_again() -> None:
    async def scene() -> int:
        body = IncomingBody(Client("/", megabytes(1)).receive, BodyBudget(100_000))
        try:
            await body.read(MIB)
        except Refused as refusal:
            return refusal.status
        return 0

    assert asyncio.run(scene()) == 503


class Rows:
    """A long response that notes when it was closed."""

    def __init__(self) -> None:
        self.closed = threading.Event()
        self.given = 0

    def __iter__(self) -> Iterator[bytes]:
        while self.given < 100_000:
            self.given += 1
            yield b"x" * 65536

    def close(self) -> None:
        self.closed.set()


def test_a_long_response_stops_and_is_closed_when_its_client_leaves() -> None:
    rows = Rows()

    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        start_response("200 OK", [])
        return rows

    class Leaving(Client):
        async def receive(self) -> MESSAGE:
            await asyncio.sleep(0)
            if not self.sent:
                return {"type": "http.request", "body": b"", "more_body": False}
            return {"type": "http.disconnect"}

    asyncio.run(Leaving("/export", method="GET").request(front(application)))

    assert rows.closed.is_set()
    assert rows.given < 100_000


def test_long_responses_leave_threads_for_others() -> None:
    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        start_response("200 OK", [])
        return iter([b"x" * MIB] * 3)

    class Reading(Client):
        async def send(self, message: MESSAGE) -> None:
            await super().send(message)
            if self.status == 200:
                await proceed.wait()

    async def scene() -> list[int]:
        tried = front(application, threads=2)
        first = asyncio.create_task(Reading("/export", method="GET").request(tried))
        second = Client("/export", method="GET")
        await asyncio.sleep(0.2)
        await second.request(tried)
        proceed.set()
        await first
        return [second.status]

    proceed = asyncio.Event()
    assert asyncio.run(scene()) == [503]


def test_a_header_with_an_underscore_cannot_stand_in_for_one_that_a_proxy_sets() -> None:
    seen: dict[str, Any] = {}

    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        seen.update(environ)
        return echo(environ, start_response)

    client = Client("/a%20b/", headers={"X_Forwarded_For": "10.0.0.1", "X-Forwarded-Proto": "https"})
    asyncio.run(client.request(front(application)))

    assert "HTTP_X_FORWARDED_FOR" not in seen
    assert (seen["HTTP_X_FORWARDED_PROTO"], seen["PATH_INFO"], seen["REMOTE_ADDR"]) == ("https", "/a b/", "192.0.2.1")
