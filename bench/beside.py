"""`BESIDE=DIRECTORY python -m bench.beside`: the cost of one request here, beside that of another checkout, in turns.

CPU time of web process, PostgreSQL and Valkey, of a single web process; WAL that PostgreSQL writes meanwhile; buffers
of 8 KiB that its statements read, which do not depend on what else the machine does. ROUNDS (9) chooses how many turns,
ONLY="list|alert" requests whose name matches that. Each version runs in a process of its own, with its own code and an
empty database, in an order that alternates from turn to turn; so the ratios hold on a busy machine too. Before each
turn each does what its worker does every ten seconds, which is not counted. The goal is 1.05. Without BESIDE nothing is
measured. 0.2.0 is the commit 2d1377d6: its checkout needs `static/vendor`, and granian to be importable.
"""

from __future__ import annotations

import http.client
import json
import os
import random
import re
import statistics
import string
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final, NamedTuple

ROUNDS: Final = int(os.environ.get("ROUNDS", "9"))
WARM_UP: Final = 2
REQUESTS: Final = {"200 new alerts": 8, "1 new alert": 60, "batch of 500": 20, "batch of 20": 60, "list": 20}
"""What is requested, and how often in each turn."""
SETTLE: Final = "settle"
"""Asks a version, in place of a request's name, for the buffers read so far."""
FLUSH_SECONDS: Final = 11
"""Until an idle server process of PostgreSQL has added what it read to the statistics: 10 s, and one to spare."""
GOAL: Final = 1.05
TICKS: Final = os.sysconf("SC_CLK_TCK")
WAL: Final = "SELECT pg_current_wal_insert_lsn() - '0/0'"
BUFFERS: Final = """
SELECT coalesce(sum(io.hits + io.reads), 0)::bigint, array_agg(DISTINCT server.pid ORDER BY server.pid)
FROM pg_stat_activity AS server CROSS JOIN LATERAL pg_stat_get_backend_io(server.pid) AS io
WHERE server.backend_type = 'client backend' AND server.pid <> pg_backend_pid() AND io.object = 'relation'
"""


class Cost(NamedTuple):
    """What one request takes: CPU in ms, and WAL in kB."""

    milliseconds: float
    wal: float


class BuffersRead(NamedTuple):
    """Buffers that the portal's connections have read, and their server processes: one that ends takes its own."""

    total: int
    servers: list[int]


class Version:
    """A checkout that is measured, as the process that serves it."""

    def __init__(self, directory: Path, connection: Connection) -> None:
        self._directory, self._connection = directory, connection

    def send(self, name: str) -> None:
        """Request something by its name. Ends all where the version's process has ended."""
        with self._or_end():
            self._connection.send(name)

    def recv(self) -> Any:
        """Return what it sends. Ends all where the version's process has ended."""
        with self._or_end():
            return self._connection.recv()

    @contextmanager
    def _or_end(self) -> Iterator[None]:
        try:
            yield
        except (EOFError, OSError):
            sys.exit(f"bench: the process of {self._directory} has ended")


def main() -> None:
    """Measure and print; some minutes on two cores."""
    other = os.environ.get("BESIDE", "")
    if not other:
        print("BESIDE names no other checkout: nothing to measure")
        return
    here = Path(__file__).resolve().parent.parent
    with ExitStack() as stack:
        versions = [stack.enter_context(_version(path)) for path in (Path(other).resolve(), here)]
        print(f"{'of a request':<16}{'CPU, ms':>18}{'ratio':>8}{'of turns':>16}{'WAL, kB':>20}{'buffers':>20}")
        for name in REQUESTS:
            if re.search(os.environ.get("ONLY", ""), name):
                _measure(versions, name)


def _measure(versions: list[Version], name: str) -> None:
    for turn in range(WARM_UP):
        _turn(versions, name, turn)
    before = _settled(versions)
    turns = [_turn(versions, name, turn) for turn in range(ROUNDS)]
    count = ROUNDS * REQUESTS[name]
    _report(name, turns, [_of_one(*each, count) for each in zip(before, _settled(versions), strict=True)])


def _of_one(start: BuffersRead, end: BuffersRead, count: int) -> str:
    """Return the buffers of one of `count` requests; "?" where a connection was replaced meanwhile."""
    return f"{(end.total - start.total) / count:,.0f}" if start.servers == end.servers else "?"


def _turn(versions: list[Version], name: str, turn: int) -> list[Cost]:
    """Return what each version takes for one request."""
    taken = [Cost(0, 0)] * len(versions)
    for place in sorted(range(len(versions)), reverse=bool(turn % 2)):
        versions[place].send(name)
        taken[place] = Cost(*versions[place].recv())
    return taken


def _settled(versions: list[Version]) -> list[BuffersRead]:
    """Return the buffers that each version has read so far."""
    for version in versions:
        version.send(SETTLE)
    return [BuffersRead(*version.recv()) for version in versions]


def _report(name: str, turns: list[list[Cost]], buffers: list[str]) -> None:
    there, here = (Cost(*map(statistics.median, zip(*each, strict=True))) for each in zip(*turns, strict=True))
    ratios = sorted(after.milliseconds / before.milliseconds for before, after in turns)
    ratio = statistics.median(ratios)
    print(
        f"{name:<16}{f'{there.milliseconds:.2f} → {here.milliseconds:.2f}':>18}{ratio:>8.2f}"
        f"{f'{ratios[0]:.2f} to {ratios[-1]:.2f}':>16}{f'{there.wal:,.1f} → {here.wal:,.1f}':>20}"
        f"{f'{buffers[0]} → {buffers[1]}':>20}{'  missed' if ratio > GOAL else ''}",
        flush=True,
    )


@contextmanager
def _version(directory: Path) -> Iterator[Version]:
    """Start this file with the code of a checkout; send it the name of a request to measure."""
    here, there = Pipe()
    # Safe path: this file's directory has modules of the same names as packages.
    command = [sys.executable, "-P", __file__, str(there.fileno())]
    environment = os.environ | {"PYTHONPATH": str(directory)}
    process = subprocess.Popen(command, cwd=directory, env=environment, pass_fds=[there.fileno()])
    there.close()  # so that the end of the process is the end of what it sends
    try:
        with here:
            yield Version(directory, here)
    finally:
        process.wait(timeout=60)


def _answer(connection: Connection) -> None:
    """Serve one version: receive names of requests, and send what one takes."""
    from bench.ingest_portal import portal, static_files

    with connection, static_files(), portal(1) as here:
        from bench.ingest import make_estate, reviewer
        from bench.ingest_mix import Sender

        sender: Sender = make_estate()[0]
        server = http.client.HTTPConnection("127.0.0.1", here.port, timeout=60)
        requests = _requests(server, sender.headers, {"Cookie": reviewer()})
        with suppress(EOFError):
            while True:
                name = connection.recv()
                connection.send(_buffers() if name == SETTLE else _cost(server, requests[name], REQUESTS[name]))


def _cost(server: http.client.HTTPConnection, prepare: Callable[[], Callable[[], None]], count: int) -> Cost:
    """Return what one of `count` requests takes."""
    bodies = [prepare() for _ in range(count)]
    server.close()  # it waited for the other version: the portal has closed it
    _work_off()
    begun, wal = _cpu_seconds(), _number(WAL)
    for fetch in bodies:
        fetch()
    return Cost((_cpu_seconds() - begun) / count * 1000, (_number(WAL) - wal) / count / 1000)


def _work_off() -> None:
    """Do what the worker, which does not run here, would have done: else the list adds up all alerts there are."""
    from drift.alerts.actions.fold_tallies import fold_tallies

    fold_tallies()
    with suppress(ImportError):  # a release without priorities
        from drift.alerts.actions.score_alerts import score_queued

        score_queued()


def _buffers() -> BuffersRead:
    """Return the buffers that the portal's statements have read so far; renew the planner's statistics."""
    from django.db import connection

    _work_off()
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    time.sleep(FLUSH_SECONDS)
    with connection.cursor() as cursor:
        cursor.execute(BUFFERS)
        return BuffersRead(*cursor.fetchone())


def _number(statement: str) -> int:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(statement)
        return int(cursor.fetchone()[0])


def _requests(
    server: http.client.HTTPConnection, sensor: dict[str, str], browser: dict[str, str]
) -> dict[str, Callable[[], Callable[[], None]]]:
    """Return, by name, what prepares a request and returns what sends it."""

    def ask(method: str, path: str, body: bytes | None, headers: dict[str, str]) -> None:
        server.request(method, path, body, headers)
        answer = server.getresponse()
        text = answer.read()
        if answer.status != 200:
            sys.exit(f"bench: {method} {path} gave {answer.status} {text[:200]!r}")

    def events(many: Callable[[], list[dict[str, Any]]]) -> Callable[[], Callable[[], None]]:
        def prepare() -> Callable[[], None]:
            body = json.dumps({"events": many()}).encode()
            return lambda: ask("POST", "/api/v1/sensors/me/events", body, sensor)

        return prepare

    return {
        "200 new alerts": events(lambda: [_new_alert() for _ in range(200)]),
        "1 new alert": events(lambda: [_new_alert()]),
        "batch of 500": events(lambda: _mixed(500)),
        "batch of 20": events(lambda: _mixed(20)),
        "list": lambda: lambda: ask("GET", "/alerts/", None, browser),
    }


def _new_alert() -> dict[str, Any]:
    """An event of a file that nothing else is like: no way, content or name is known."""
    from bench.ingest import alerting

    name = "".join(random.choices(string.ascii_lowercase, k=12))
    event = alerting(f"/srv/{name[:4]}/{name}")
    return event | {"process": event["process"] | {"sha256": random.randbytes(32).hex()}}


def _mixed(count: int) -> list[dict[str, Any]]:
    import datetime as dt

    from bench.ingest_mix import event

    return [event(random.Random(), dt.datetime.now(dt.UTC).date()) for _ in range(count)]


def _cpu_seconds() -> float:
    """Return the CPU time of all processes that this one started, those that have ended included."""
    time.sleep(0.2)  # what a request leaves to do after its response
    parents: dict[int, tuple[int, float]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            fields = path.read_text().rpartition(")")[2].split()
            parents[int(path.parent.name)] = int(fields[1]), sum(map(int, fields[11:15])) / TICKS
    return sum(seconds for pid, (_, seconds) in parents.items() if _is_below(pid, parents))


def _is_below(pid: int, parents: dict[int, tuple[int, float]]) -> bool:
    while (pid := parents.get(pid, (0, 0.0))[0]) > 1:
        if pid == os.getpid():
            return True
    return False


if __name__ == "__main__":
    if len(sys.argv) > 1:
        _answer(Connection(int(sys.argv[1])))
    else:
        main()
