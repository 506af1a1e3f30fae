"""The sensor's side of the hold server, with a test script in place of the watchdog."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sensor.blocking import hold_client, watchdog
from sensor.blocking.block_plan import ClusterLocation
from sensor.blocking.container_tracker import TrackedContainer
from sensor.blocking.hold_client import HoldClient
from sensor.capture.block_tables import BlockTableDescriptors
from sensor.container.identify import Resolved
from sensor.container.overlay import Layers
from sensor.policy import normalise
from sensor.wire import Container
from tests.unit.sensor.policy.test_document import document_of, minimal_rule

pytestmark = pytest.mark.serial

PATIENCE = 30.0
STANDIN = """\
import mmap, os, socket, sys, time
beat, orders = mmap.mmap(int(sys.argv[1]), mmap.PAGESIZE), socket.socket(fileno=int(sys.argv[2]))
log, status, slow = sys.argv[3:]
if int(status):
    sys.exit(int(status))
time.sleep(float(slow))
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
    fds = BlockTableDescriptors(-1, -1, *(os.open("/dev/null", os.O_RDONLY) for _ in range(5)))


def document(action: str) -> dict[str, Any]:
    return normalise(document_of(minimal_rule(action=action)))


def tracked() -> TrackedContainer:
    """A container of an image with many layers."""
    layers = Layers(tuple(b"/var/lib/containerd/snapshots/%064d/fs" % number for number in range(40)), b"/upper")
    resolved = Resolved(Container(id="c" * 64), complete=True, root_dev=1, layers=layers, pid=1)
    return TrackedContainer(resolved, layers, layers, 1, b"/merged")


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
    """The status that the stand-in exits with at once; 0 if it keeps running."""
    return [0]


@pytest.fixture
def slow() -> list[float]:
    """Seconds that the stand-in takes to start."""
    return [0.0]


@pytest.fixture
def made(log: Path, status: list[int], slow: list[float], monkeypatch: pytest.MonkeyPatch) -> Iterator[HoldClient]:
    def command(*, beat: int, messages: int, **_: int) -> list[str]:
        return [sys.executable, "-c", STANDIN, str(beat), str(messages), str(log), str(status[0]), str(slow[0])]

    monkeypatch.setattr(hold_client, "_command", command)
    monkeypatch.setattr(hold_client, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(hold_client, "OWN_STALE_SECONDS", PATIENCE)  # a busy machine may keep the stand-in waiting
    holding = HoldClient(FakeTables(), ClusterLocation("azure", "1", "prod"))  # type: ignore[arg-type]
    yield holding
    holding.close()


def received(log: Path) -> list[str]:
    """Return the types of the messages that arrived."""
    return [json.loads(line)["type"] for line in log.read_text().splitlines()] if log.exists() else []


def test_without_a_blocking_rule_nothing_is_started(made: HoldClient, log: Path) -> None:
    made.follow(document("alert"))
    made.update()
    assert not made.is_up
    made.follow(document("block"))
    made.update()
    eventually(lambda: made.is_up)
    made.update()
    eventually(lambda: received(log) == ["follow"])


def test_a_default_rule_that_blocks_needs_no_other_rule(made: HoldClient, log: Path) -> None:
    made.follow(normalise({**document_of(), "default": {"action": "block"}}))
    made.update()
    eventually(lambda: made.is_up)
    made.follow(normalise({**document_of(), "default": {"action": "alert"}}))
    made.update()
    assert not made.is_up


def test_a_new_container_is_expected_only_while_the_hold_server_listens(made: HoldClient, log: Path) -> None:
    made.follow(document("block"))
    made.update()
    made.expect(1, b"/merged")
    eventually(lambda: made.is_up)
    made.update()
    made.expect(2, b"/merged")
    made.watch(2, tracked())
    made.expect(3, b"/merged")
    made.forget(3)
    made.forget(4)
    eventually(lambda: received(log) == ["follow", "expect", "watch", "expect", "forget"])


def test_the_hold_server_stops_once_no_rule_blocks(made: HoldClient) -> None:
    made.follow(document("block"))
    made.update()
    eventually(lambda: made.is_up)
    made.follow(document("ignore"))
    made.update()
    assert not made.is_up


def test_a_restarted_hold_server_gets_everything_again(made: HoldClient, log: Path) -> None:
    def received_now() -> list[str]:
        made.update()
        return received(log)

    made.follow(document("block"))
    eventually(lambda: received_now() == ["follow"])
    assert made._watchdog is not None
    made._watchdog.kill()
    eventually(lambda: received_now() == ["follow", "follow"])


def test_a_slow_start_under_many_containers_is_waited_for(made: HoldClient, log: Path, slow: list[float]) -> None:
    """Their orders are more than a socket buffers before it is read."""
    slow[0] = 2 * hold_client.SEND_SECONDS
    many = 300
    made.follow(document("block"))
    made.update()
    first = made._watchdog
    for dev in range(many):
        made.watch(dev, tracked())
        made.update()

    def all_received() -> bool:
        made.update()
        return log.exists() and log.read_bytes().count(b"\n") == many + 1

    eventually(all_received)
    assert made._watchdog is first


def test_a_signal_to_the_sensor_s_process_group_does_not_stop_the_hold_server(made: HoldClient) -> None:
    made.follow(document("block"))
    made.update()
    assert made._watchdog is not None
    assert os.getpgid(made._watchdog.pid) != os.getpgrp()


def test_a_hold_server_that_cannot_hold_execs_is_not_restarted_every_minute(
    made: HoldClient, status: list[int]
) -> None:
    status[0] = watchdog.CANNOT_HOLD
    made.follow(document("block"))
    made.update()
    assert made._watchdog is not None
    made._watchdog.wait(PATIENCE)
    made.update()
    assert made._watchdog is None
    assert made._start_at > time.monotonic() + 1_000
