"""The sensor's side of the holder, with a guard that is a script of the test's."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sensor.blocking import guard, hold
from sensor.blocking.hold import Hold
from sensor.blocking.plan import Place
from sensor.blocking.tables import Descriptors
from sensor.policy import normalise
from tests.unit.policy.test_document import document_of, minimal_rule

PATIENCE = 20.0
STANDIN = """\
import mmap, os, socket, sys, time
beat, orders = mmap.mmap(int(sys.argv[1]), mmap.PAGESIZE), socket.socket(fileno=int(sys.argv[2]))
log, status = sys.argv[3:]
if int(status):
    sys.exit(int(status))
orders.settimeout(0.02)
while True:
    beat[:8] = time.monotonic_ns().to_bytes(8, "little")
    try:
        data = orders.recv(65536)
    except TimeoutError:
        continue
    if not data:
        sys.exit(0)
    with open(log, "ab") as file:
        file.write(data)
"""


class FakeTables:
    fds = Descriptors(-1, -1, os.open("/dev/null", os.O_RDONLY), os.open("/dev/null", os.O_RDONLY))


def document(action: str) -> dict[str, Any]:
    return normalise(document_of(minimal_rule(action=action)))


def eventually(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.01)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


@pytest.fixture
def status() -> list[int]:
    """What the stand-in ends with at once; 0 where it goes on."""
    return [0]


@pytest.fixture
def made(log: Path, status: list[int], monkeypatch: pytest.MonkeyPatch) -> Iterator[Hold]:
    def command(beat: int, orders: int, marks: int, guarded: int) -> list[str]:
        return [sys.executable, "-c", STANDIN, str(beat), str(orders), str(log), str(status[0])]

    monkeypatch.setattr(hold, "_command", command)
    monkeypatch.setattr(hold, "FIRST_PAUSE", 0.01)
    holding = Hold(FakeTables(), Place("azure", "1", "prod"))  # type: ignore[arg-type]
    yield holding
    holding.close()


def told(log: Path) -> list[str]:
    """The types of the messages that arrived."""
    return [json.loads(line)["type"] for line in log.read_text().splitlines()] if log.exists() else []


def test_without_a_rule_that_blocks_nothing_is_started(made: Hold, log: Path) -> None:
    made.follow(document("alert"))
    made.turn()
    assert not made.is_up
    made.follow(document("block"))
    made.turn()
    eventually(lambda: made.is_up)
    eventually(lambda: told(log) == ["follow"])


def test_it_ends_once_no_rule_blocks_any_more(made: Hold) -> None:
    made.follow(document("block"))
    made.turn()
    eventually(lambda: made.is_up)
    made.follow(document("ignore"))
    made.turn()
    assert not made.is_up


def test_one_that_ended_is_started_again_and_told_everything_again(made: Hold, log: Path) -> None:
    made.follow(document("block"))
    made.turn()
    eventually(lambda: told(log) == ["follow"])
    assert made._guard is not None
    made._guard.kill()

    def again() -> bool:
        made.turn()
        return told(log) == ["follow", "follow"]

    eventually(again)


def test_where_execs_cannot_be_held_it_is_not_tried_every_minute(made: Hold, status: list[int]) -> None:
    status[0] = guard.CANNOT_HOLD
    made.follow(document("block"))
    made.turn()
    assert made._guard is not None
    made._guard.wait(PATIENCE)
    made.turn()
    assert made._guard is None
    assert made._start_at > time.monotonic() + 1_000
