"""Which backend captures, and what happens when it fails."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest

from sensor import wire
from sensor.capture.errors import CaptureUnavailable
from sensor.capture.failover import FIRST_RETRY, Backend, FailoverCapture
from sensor.judgement.counters import CaptureCounters
from sensor.judgement.deduplicate import TOLERANCE
from tests.unit.sensor.makers import make_event


@dataclasses.dataclass
class Fake:
    """A backend that returns what is put into it, or fails."""

    name: str
    events: list[wire.Event] = dataclasses.field(default_factory=list)
    dead: bool = False
    done: list[str] = dataclasses.field(default_factory=list)
    drifted: int = 0

    def read(self, timeout: float) -> list[wire.Event]:
        if self.dead:
            raise OSError("the ring is gone")
        taken, self.events = self.events, []
        self.drifted += len(taken)
        return taken

    def commit(self) -> None:
        self.done.append("commit")

    def counters(self) -> CaptureCounters:
        return CaptureCounters(execs=10, drifted=self.drifted, lost={"ring": 1})

    def adopt(self, pid: int, container: wire.Container) -> bool:
        return True

    def start_blocking(self, start: object) -> None:
        self.done.append("block")

    def detect(self, kinds: frozenset[str]) -> None:
        self.done += sorted(kinds)

    def detach(self) -> None:
        self.done.append("detach")

    def close(self, *, keep: bool | None = None) -> None:
        self.done.append("close")


class Node:
    """Two backends, the preferred one first; which were opened, and a clock."""

    def __init__(self) -> None:
        self.broken: set[str] = set()
        self.opened: list[Fake] = []
        self.now = 0.0

    def backend(self, name: str) -> Backend:
        def opening() -> Fake:
            if name in self.broken:
                raise CaptureUnavailable(f"{name} needs root")
            self.opened.append(Fake(name))
            return self.opened[-1]

        return Backend(name, opening)

    def choose(self) -> FailoverCapture:
        return FailoverCapture([self.backend("best"), self.backend("fallback")], lambda: self.now)


@pytest.fixture
def node() -> Node:
    return Node()


def names(capture: FailoverCapture, rounds: int = 3) -> list[str]:
    return [event.process.name for _ in range(rounds) for event in capture.read(0)]


def an_event(number: int) -> wire.Event:
    """Return an event of another process each time."""
    event = make_event(number, name=f"e{number}")
    event.process.pid = number
    return event


def test_the_best_working_backend_is_chosen_and_the_other_is_not_opened(node: Node) -> None:
    assert node.choose().name == "best"
    assert len(node.opened) == 1


def test_the_fallback_is_chosen_and_the_reason_logged(node: Node) -> None:
    node.broken = {"best"}
    capture = node.choose()
    assert (capture.name, capture.why) == ("fallback", "best needs root")
    assert capture.capabilities == []


def test_if_no_backend_works_every_reason_is_reported(node: Node) -> None:
    node.broken = {"best", "fallback"}
    with pytest.raises(CaptureUnavailable, match="best needs root; fallback needs root"):
        node.choose()


def test_a_failed_backend_is_replaced_and_the_gap_is_counted(node: Node) -> None:
    capture = node.choose()
    node.opened[0].events = [an_event(1)]
    assert names(capture) == ["e1"]
    node.broken, node.opened[0].dead = {"best"}, True
    assert names(capture) == []
    assert (capture.name, node.opened[0].done) == ("fallback", ["close"])
    node.opened[1].events = [an_event(2)]
    assert names(capture) == ["e2"]
    assert capture.counters() == CaptureCounters(execs=20, drifted=2, lost={"ring": 2, "backend": 1})
    assert capture.capabilities == ["best"]


def test_a_failed_backend_is_opened_again_if_it_works(node: Node) -> None:
    capture = node.choose()
    node.opened[0].dead = True
    names(capture)
    assert [each.name for each in node.opened] == ["best", "best"]
    assert capture.counters().lost["backend"] == 1


def test_the_sensor_stops_once_no_backend_works(node: Node) -> None:
    capture = node.choose()
    node.broken, node.opened[0].dead = {"best", "fallback"}, True
    with pytest.raises(CaptureUnavailable):
        capture.read(0)
    with pytest.raises(CaptureUnavailable):
        capture.read(0)
    capture.close()


def test_the_better_backend_takes_over_once_it_works_and_the_other_is_read_to_its_end(node: Node) -> None:
    node.broken = {"best"}
    capture = node.choose()
    node.broken = set()
    capture.read(0)
    assert capture.name == "fallback"
    fallback = node.opened[0]
    fallback.events = [an_event(1)]
    node.now = FIRST_RETRY
    assert names(capture, 1) == ["e1"]
    assert capture.name == "best"
    capture.commit()
    assert fallback.done == ["detach", "commit"]
    assert names(capture, 1) == []
    assert fallback.done == ["detach", "commit", "close"]
    node.opened[1].events = [an_event(2)]
    assert names(capture) == ["e2"]
    assert capture.counters().lost == {"ring": 2}


def test_an_exec_that_both_saw_is_reported_once(node: Node) -> None:
    """An earlier sensor may have left the better one's kernel program attached all the time."""
    node.broken = {"best"}
    capture = node.choose()
    node.opened[0].events = [an_event(1), an_event(2)]
    assert names(capture) == ["e1", "e2"]
    node.broken, node.now = set(), FIRST_RETRY
    names(capture)
    best = node.opened[1]
    best.events = [an_event(1)]
    assert names(capture) == []
    assert best.done == ["commit"]
    best.events = [an_event(1), an_event(2), an_event(3)]
    assert names(capture) == ["e1", "e3"]
    assert capture.counters().drifted == 4


def test_a_later_run_of_the_same_file_is_another_exec(node: Node) -> None:
    node.broken = {"best"}
    capture = node.choose()
    node.opened[0].events = [an_event(1)]
    names(capture)
    node.broken, node.now = set(), FIRST_RETRY
    names(capture)
    later = an_event(1)
    later.observed_at += TOLERANCE
    node.opened[1].events = [later]
    assert names(capture) == ["e1"]


def test_the_better_backend_is_retried_less_and_less_often(node: Node) -> None:
    node.broken = {"best"}
    tried: list[float] = []
    capture = node.choose()
    opening: Callable[[], object] = capture._backends[0].open

    def watched() -> Fake:
        tried.append(node.now)
        opening()
        raise AssertionError

    capture._backends = [Backend("best", watched), capture._backends[1]]
    for second in range(0, 1_000, 10):
        node.now = float(second)
        capture.read(0)
    assert tried == [60.0, 180.0, 420.0, 900.0]


def test_settings_of_one_backend_are_passed_to_every_later_one(node: Node) -> None:
    capture = node.choose()
    capture.start_blocking(lambda _: pytest.fail("a fake has no tables"))
    capture.detect(["script"])
    node.opened[0].dead = True
    capture.read(0)
    assert node.opened[1].done == ["block", "script"]
