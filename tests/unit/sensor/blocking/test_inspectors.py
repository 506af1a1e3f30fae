"""Inspections that never end: which containers they delay, and which they do not."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from sensor.blocking import inspectors
from sensor.blocking.inspectors import Inspectors

PATIENCE = 30.0


class Bench:
    """Inspects numbers: negative ones hang until `free` is set."""

    def __init__(self) -> None:
        self.free = threading.Event()
        self.seen: list[int] = []
        self.looks = Inspectors(self._look, 0.0)
        self._news = threading.Condition()
        self.looks.start()

    def _look(self, number: int) -> None:
        with self._news:
            self.seen.append(number)
            self._news.notify_all()
        if number < 0:
            self.free.wait(PATIENCE)

    def await_seen(self, *numbers: int) -> None:
        with self._news:
            assert self._news.wait_for(lambda: set(numbers) <= set(self.seen), PATIENCE), self.seen


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.free.set()


def test_one_container_s_inspections_continue_while_another_s_hang(bench: Bench) -> None:
    for number in range(-inspectors.THREADS, 0):
        bench.looks.offer(1, number)
    bench.looks.offer(2, 7)
    bench.await_seen(7)
    assert len([number for number in bench.seen if number < 0]) == 1


def test_new_threads_take_over_when_every_thread_hangs(bench: Bench) -> None:
    hanging = range(-inspectors.THREADS, 0)
    for number in hanging:
        bench.looks.offer(number, number)
    bench.await_seen(*hanging)
    bench.looks.offer(2, 7)
    assert 7 not in bench.seen
    assert bench.looks.replace_slow()
    bench.await_seen(7)
    assert not bench.looks.offer(-1, -1)


def test_a_container_is_inspected_again_once_its_inspection_has_ended(bench: Bench) -> None:
    bench.looks.offer(1, -1)
    bench.await_seen(-1)
    assert bench.looks.replace_slow()
    assert not bench.looks.offer(1, 5)
    bench.free.set()
    until = time.monotonic() + PATIENCE
    while not bench.looks.offer(1, 5):
        assert time.monotonic() < until
    bench.await_seen(5)


def test_too_many_hanging_inspections_are_reported(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inspectors, "MAX_OVERDUE", 1)
    for number in (-2, -1):
        bench.looks.offer(number, number)
    bench.await_seen(-2, -1)
    assert not bench.looks.replace_slow()
