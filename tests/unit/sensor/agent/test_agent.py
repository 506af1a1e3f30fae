"""How a sensor stops: cleanly, and by an exception."""

from __future__ import annotations

import threading

import pytest

from sensor import policy, wire
from sensor.agent.agent import Agent, AgentSettings
from sensor.judgement.counters import CaptureCounters
from sensor.operations.state_directory import StateDirectory
from tests.unit.sensor.fake_portal import FakePortal, refused
from tests.unit.sensor.makers import make_event


class Given:
    """A capture that returns one batch until it is committed; `errors` are the errors that commits raise."""

    name = "given"

    def __init__(self, batch: list[wire.Event], *errors: Exception) -> None:
        self._batch, self._faults = batch, list(errors)
        self.done: list[str] = []

    def read(self, timeout: float) -> list[wire.Event]:
        return self._batch

    def commit(self) -> None:
        if self._faults:
            raise self._faults.pop()
        self._batch = []

    @property
    def finished(self) -> bool:
        return self._batch == []

    def counters(self) -> CaptureCounters:
        self.done.append("counters")
        return CaptureCounters(lost={"ring": 7} if "close" in self.done else {})

    def detect(self, kinds: frozenset[str]) -> None:
        self.done.append("interpreter" if "interpreter" in kinds else "detect")

    def adopt(self, pid: int, container: wire.Container) -> bool:
        return False

    def detach(self) -> None:
        self.done.append("detach")

    def close(self, *, keep: bool | None = None) -> None:
        self.done.append("keep" if keep else "close")


class Watched(Given):
    """Records which threads of its agent are still alive when it is closed."""

    def __init__(self, batch: list[wire.Event]) -> None:
        super().__init__(batch)
        self._others = set(threading.enumerate())
        self.alive: set[str] = set()

    def close(self, *, keep: bool | None = None) -> None:
        super().close(keep=keep)
        self.alive = {thread.name for thread in set(threading.enumerate()) - self._others}


def agent_on(state: StateDirectory, capture: Given, heartbeat_seconds: float = 1_000.0) -> Agent:
    identity = state.identity()
    assert identity is not None
    return Agent(state, identity, capture, AgentSettings(stream=False, heartbeat_seconds=heartbeat_seconds))


def run(state: StateDirectory, capture: Given) -> None:
    agent_on(state, capture).run(finished=lambda: capture.finished)


def batch() -> list[wire.Event]:
    """Ten execs that the default policy ignores."""
    return [make_event(number, namespace="shop") for number in range(10)]


def stored(portal: FakePortal) -> int:
    return sum(event.count for event in portal.events.values())


def test_an_error_before_the_commit_counts_no_exec_twice(portal: FakePortal, state: StateDirectory) -> None:
    portal.publish(1)
    with pytest.raises(OSError, match="disk full"):
        run(state, Given(batch(), OSError("disk full")))
    run(state, Given(batch()))
    assert stored(portal) == 10


def test_an_error_leaves_the_capture_to_the_next_process(portal: FakePortal, state: StateDirectory) -> None:
    portal.publish(1)
    capture = Given(batch(), ValueError("odd"))
    with pytest.raises(ValueError, match="odd"):
        run(state, capture)
    assert "keep" in capture.done
    assert "close" not in capture.done


def test_a_clean_stop_reads_what_the_capture_has_already_seen(portal: FakePortal, state: StateDirectory) -> None:
    class Late(Given):
        def detach(self) -> None:
            super().detach()
            self._batch = batch()

    portal.publish(1)
    agent = agent_on(state, Late([]))
    agent.lifecycle.stopping.set()
    agent.run()
    assert agent.counters().spooled == 10


@pytest.mark.parametrize("asked", [True, False])
def test_the_capture_gets_the_policy_s_detection_kinds_once(
    portal: FakePortal, state: StateDirectory, asked: bool
) -> None:
    document = policy.default_document()
    portal.publish(1, {**document, "detect": [*document["detect"], *(["interpreter"] if asked else [])]})
    capture = Given(batch())
    run(state, capture)
    assert [each for each in capture.done if each in {"interpreter", "detect"}] == [
        "interpreter" if asked else "detect"
    ]


def test_a_clean_stop_closes_the_capture(portal: FakePortal, state: StateDirectory) -> None:
    portal.publish(1)
    capture = Given(batch())
    run(state, capture)
    assert "close" in capture.done


def test_losses_during_the_stop_are_reported(portal: FakePortal, state: StateDirectory) -> None:
    portal.publish(1)
    run(state, Given(batch()))
    assert portal.heartbeats[-1].counters.lost == {"ring": 7}


def test_the_thread_that_reads_the_capture_s_counters_has_ended_when_it_closes(
    portal: FakePortal, state: StateDirectory
) -> None:
    portal.publish(1)
    capture = Watched(batch())
    run(state, capture)
    assert "close" in capture.done
    assert "control" not in capture.alive


def test_an_unreachable_portal_does_not_delay_the_stop(portal: FakePortal, state: StateDirectory) -> None:
    portal.publish(1)
    portal.always["sensors/me/heartbeat"] = refused(503, "unavailable")
    capture = Given(batch())
    run(state, capture)
    assert capture.done[-1] == "counters"
