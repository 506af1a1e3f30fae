"""Execs in a container that the sensor has not identified yet."""

from __future__ import annotations

import time

import pytest

from sensor.blocking import hold_server
from sensor.blocking.hold_messages import ExpectContainer, ForgetContainer
from sensor.blocking.unidentified_execs import EXPECT_SECONDS, MAX_HELD, OverdueContainer, UnidentifiedExecs
from sensor.capture.block_tables import ExecMark
from tests.unit.sensor.blocking.hold_bench import Bench, marked


@pytest.fixture
def expecting(bench: Bench) -> Bench:
    """A new container that the sensor has not identified yet."""
    bench.follow()
    bench.send(ForgetContainer(bench.dev, bytes(bench.directory)))
    bench.send(ExpectContainer(bench.dev, bytes(bench.directory)))
    return bench


def test_execs_of_a_new_container_wait_until_it_is_identified(expecting: Bench) -> None:
    expecting.open(expecting.file("tool", b"evil", image=b"good"))
    assert ("allow",) not in expecting.spy.calls
    expecting.watch()
    expecting.spy.await_allowed()
    assert marked(expecting) == [ExecMark.KILL]


def test_execs_are_released_once_nothing_is_blocked_in_the_container(expecting: Bench) -> None:
    expecting.open(expecting.file("tool", b"evil", image=b"good"))
    expecting.send(ForgetContainer(expecting.dev, bytes(expecting.directory)))
    expecting.spy.await_allowed()
    assert marked(expecting) == []


def test_execs_are_released_after_the_maximum_wait(expecting: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    expecting.open(expecting.file("tool", b"evil", image=b"good"))
    monkeypatch.setattr(hold_server, "HOLD_SECONDS", 0.0)
    expecting.server._keep_deadlines()
    assert marked(expecting) == [ExecMark.LATE]
    expecting.watch()
    assert expecting.spy.calls.count(("allow",)) == 1


def test_a_container_that_is_not_identified_in_time_is_unmarked(
    expecting: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    expecting.open(expecting.file("tool", b"evil", image=b"good"))
    later = time.monotonic() + EXPECT_SECONDS + 1
    monkeypatch.setattr(time, "monotonic", lambda: later)
    expecting.server._keep_deadlines()
    expecting.server._messages.join()
    expecting.spy.await_allowed()
    assert [each[0] for each in expecting.spy.calls if each[-1] == str(expecting.directory)][-1] == "unmark"


def test_held_execs_of_one_container_are_bounded_in_number_and_time(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: UnidentifiedExecs[object] = UnidentifiedExecs()
    kept.expect(1, b"/merged")
    assert [kept.hold(1, object()) for _ in range(MAX_HELD + 1)] == [True] * MAX_HELD + [False]
    kept.expect(2, b"/other")
    later = time.monotonic() + EXPECT_SECONDS + 1
    monkeypatch.setattr(time, "monotonic", lambda: later)
    assert not kept.hold(2, object())


def test_a_container_identified_just_before_its_deadline_stays_watched(
    expecting: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    expecting.watch()
    expecting.server._messages.put(OverdueContainer(expecting.dev, bytes(expecting.directory)))
    expecting.server._messages.join()
    assert expecting.dev in expecting.server._watched
