"""`BESIDE=DIRECTORY python -m bench.beside`: CPU of one request here, beside that of another checkout, in turns.

CPU time of web process, PostgreSQL and Valkey, of a single web process; ROUNDS (9) chooses how many turns. Each version
runs in a process of its own, with its own code and an empty database, in an order that alternates from turn to turn; so
the ratios hold on a busy machine too. The goal is 1.05. Without BESIDE nothing is measured.
"""

from __future__ import annotations

import http.client
import json
import multiprocessing
import os
import random
import statistics
import string
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from multiprocessing.connection import Client, Connection, Listener
from pathlib import Path
from typing import Any, Final

ROUNDS: Final = int(os.environ.get("ROUNDS", "9"))
WARM_UP: Final = 2
REQUESTS: Final = {"200 new alerts": 8, "1 new alert": 60, "batch of 500": 20, "batch of 20": 60, "list": 20}
"""What is requested, and how often in each turn."""
GOAL: Final = 1.05
TICKS: Final = os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Measure and print; some minutes on two cores."""
    other = os.environ.get("BESIDE", "")
    if not other:
        print("BESIDE names no other checkout: nothing to measure")
        return
    here = Path(__file__).resolve().parent.parent
    with ExitStack() as stack:
        versions = [stack.enter_context(_version(path)) for path in (Path(other).resolve(), here)]
        print(f"{'CPU of a request, ms':<24}{'there':>10}{'here':>10}{'ratio':>8}  of {ROUNDS} turns")
        for name in REQUESTS:
            _report(name, [_turn(versions, name, turn) for turn in range(WARM_UP + ROUNDS)][WARM_UP:])


def _turn(versions: list[Connection], name: str, turn: int) -> list[float]:
    """Return what each version takes for one request, in ms."""
    taken = [0.0] * len(versions)
    for place in sorted(range(len(versions)), reverse=bool(turn % 2)):
        versions[place].send(name)
        taken[place] = float(versions[place].recv())
    return taken


def _report(name: str, turns: list[list[float]]) -> None:
    there, here = (statistics.median(each) for each in zip(*turns, strict=True))
    ratios = sorted(after / before for before, after in turns)
    ratio = statistics.median(ratios)
    missed = "  missed" if ratio > GOAL else ""
    spread = f"{ratios[0]:.2f} to {ratios[-1]:.2f}"
    print(f"{name:<24}{there:>10.2f}{here:>10.2f}{ratio:>8.2f}  {spread}{missed}", flush=True)


@contextmanager
def _version(directory: Path) -> Iterator[Connection]:
    """Start this file with the code of a checkout; send it the name of a request to measure."""
    key = multiprocessing.current_process().authkey
    with Listener(authkey=key) as listener:
        # Safe path: this file's directory has modules of the same names as packages.
        command = [sys.executable, "-P", __file__, str(listener.address)]
        environment = os.environ | {"PYTHONPATH": str(directory), "KEY": key.hex()}
        process = subprocess.Popen(command, cwd=directory, env=environment)
        try:
            with listener.accept() as connection:
                yield connection
        finally:
            process.wait(timeout=60)


def _answer(address: str) -> None:
    """Serve one version: receive names of requests, and send what one takes."""
    from bench.ingest_portal import portal, static_files

    with Client(address, authkey=bytes.fromhex(os.environ["KEY"])) as connection, static_files(), portal(1) as here:
        from bench.ingest import make_estate, reviewer
        from bench.ingest_mix import Sender

        sender: Sender = make_estate()[0]
        server = http.client.HTTPConnection("127.0.0.1", here.port, timeout=60)
        requests = _requests(server, sender.headers, {"Cookie": reviewer()})
        with suppress(EOFError):
            while True:
                name = connection.recv()
                bodies = [requests[name]() for _ in range(REQUESTS[name])]
                server.close()  # it waited for the other version: the portal has closed it
                begun = _cpu_seconds()
                for fetch in bodies:
                    fetch()
                connection.send((_cpu_seconds() - begun) / len(bodies) * 1000)


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
        _answer(sys.argv[1])
    else:
        main()
