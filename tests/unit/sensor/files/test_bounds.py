"""No container can make the sensor hash without end, and no hanging filesystem can make it wait for long."""

from __future__ import annotations

import os
import threading
import time
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sensor.file_state import FileState
from sensor.files import hashing
from sensor.files.deadline import Budget, Worker
from sensor.files.handles import OpenFile, look_up, open_directory
from sensor.files.hashing import Hasher


@pytest.fixture
def file(tmp_path: Path) -> Iterator[OpenFile]:
    (tmp_path / "x").write_bytes(b"x" * 100)
    with open_directory(str(tmp_path)) as root:
        opened = OpenFile.adopt(look_up(root, b"x"))
    yield opened
    opened.close()


class TestBudget:
    def test_a_container_gets_its_burst_and_then_its_rate(self) -> None:
        now = 0.0
        budget = Budget(10, 100, lambda: now)
        assert [budget.take("a", 60), budget.take("a", 60)] == [True, False]
        now = 2.0
        assert budget.take("a", 60)
        now = 1_000.0
        assert [budget.take("a", 101), budget.take("a", 100)] == [False, True]

    def test_one_container_s_hashing_uses_up_no_other_s_budget(self) -> None:
        budget = Budget(1, 100, lambda: 0.0)
        assert [budget.take("a", 100), budget.take("b", 100)] == [True, True]

    def test_past_the_budget_a_file_is_too_large_unless_its_hash_is_known_or_free(self, file: OpenFile) -> None:
        poor = Hasher(budget=Budget(0, 150, lambda: 0.0), entries=0)
        assert [poor.digest(file, "a")[1] for _ in range(2)] == ["ok", "too_large"]
        assert poor.digest(file)[1] == "ok"


class TestBackoff:
    """Backing off from filesystems that do not answer in time, such as a slow disk with many volumes."""

    @pytest.fixture
    def clock(self, monkeypatch: pytest.MonkeyPatch) -> list[float]:
        """A clock that the test sets."""
        now = [1_000.0]
        monkeypatch.setattr(hashing, "time", types.SimpleNamespace(monotonic=lambda: now[0], time_ns=time.time_ns))
        return now

    def test_a_filesystem_that_answers_again_is_soon_tried_again(self, file: OpenFile, clock: list[float]) -> None:
        worker = Sluggish()
        hasher = Hasher(worker=worker)
        assert hasher.digest(file) == (None, "unreadable")
        worker.answers = True
        assert hasher.digest(file) == (None, "unreadable")
        clock[0] += hashing.FIRST_BACKOFF
        assert hasher.digest(file)[1] == "ok"

    def test_a_filesystem_that_never_answers_is_tried_less_and_less_often(
        self, file: OpenFile, clock: list[float]
    ) -> None:
        worker = Sluggish()
        hasher = Hasher(worker=worker)
        for _ in range(600):
            hasher.digest(file)
            clock[0] += 1
        assert 10 <= worker.tries <= 16

    def test_an_answer_resets_the_backoff(
        self, file: OpenFile, clock: list[float], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(hashing, "RACY_NS", 10**18)  # nothing is remembered
        worker = Sluggish()
        hasher = Hasher(worker=worker)
        for worker.answers in (False, True, False, True):
            clock[0] += hashing.FIRST_BACKOFF
            assert (hasher.digest(file)[1] == "ok") is worker.answers


class Sluggish(Worker):
    """Times out on every read unless it `answers`."""

    def __init__(self) -> None:
        super().__init__()
        self.answers, self.tries = False, 0

    def run_at_expense(self, payer: str, work: Callable[[], Any], *_: Any, **__: Any) -> Any:
        self.tries += 1
        if not self.answers:
            raise TimeoutError
        return work()


class TestDeadline:
    def test_a_result_in_time_is_returned_and_an_exception_raised(self) -> None:
        worker = Worker()
        assert worker.run(lambda: 7, 30.0) == 7
        with pytest.raises(ZeroDivisionError):
            worker.run(lambda: 1 // 0, 30.0)

    def test_a_hanging_call_is_abandoned_and_its_late_result_released(self) -> None:
        worker, go, late = Worker(), threading.Event(), threading.Event()

        def hangs() -> int:
            go.wait()
            return 1

        with pytest.raises(TimeoutError):
            worker.run(hangs, 0.01, lambda _: late.set())
        assert worker.run(lambda: 8, 30.0) == 8
        go.set()
        assert late.wait(30)

    def test_while_too_many_calls_hang_no_more_are_started(self) -> None:
        worker, go = Worker(max_hung=2), threading.Event()
        for _ in range(2):
            with pytest.raises(TimeoutError):
                worker.run(go.wait, 0.01)
        tried: list[int] = []
        with pytest.raises(TimeoutError):
            worker.run(lambda: tried.append(1), 30.0)
        go.set()
        assert tried == []

    def test_a_file_on_a_hanging_filesystem_is_unreadable_and_the_next_one_there_at_once(self, file: OpenFile) -> None:
        began, go = threading.Event(), threading.Event()

        class Hangs(Hasher):
            def _read(self, file: OpenFile, before: FileState | None = None) -> Any:
                tried.append(file.fd)
                began.set()
                go.wait()

        tried: list[int] = []
        hasher = Hangs(seconds=0.01)
        assert [hasher.digest(file)[1] for _ in range(2)] == ["unreadable", "unreadable"]
        assert began.wait(30)
        go.set()
        assert len(tried) == 1
        assert os.fstat(file.fd).st_size == 100
