"""Policy, acknowledgement and heartbeat: on time, retried after errors, at once after a push."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from sensor import wire
from sensor.agent.policy_in_force import PolicyKeeper
from sensor.agent.scheduled_calls import ScheduledCalls
from sensor.delivery.client import PortalClient, PortalUnavailable
from sensor.delivery.lifecycle import Lifecycle
from sensor.delivery.policy_stream import (
    MAX_EVENT_BYTES,
    MAX_WITHIN_SECONDS,
    PolicyStream,
    named_events,
    server_sent_events,
)
from sensor.operations.state_directory import StateDirectory
from tests.unit.sensor.fake_portal import CREDENTIAL, FakePortal, refused

STATUS, POLICY, HEARTBEAT, TICKET = (
    f"sensors/me/{path}" for path in ("policy/status", "policy", "heartbeat", "stream-ticket")
)


class Controlled:
    """A sensor's control and stream, with intervals of hours that only a test's own events cut short."""

    def __init__(self, portal: FakePortal, state: StateDirectory) -> None:
        self.portal = portal
        self.lifecycle = Lifecycle()
        self.keeper = PolicyKeeper(state, [portal.key])
        self.asked: float | None = None
        self.switches: list[bool] = []
        self.heard = threading.Event()
        self.http = PortalClient(portal.url, CREDENTIAL)
        self.control = ScheduledCalls(
            self.http,
            self.keeper,
            self.lifecycle,
            self.heartbeat,
            heartbeat_seconds=10_000,
            poll_seconds=10_000,
            set_canary_interval=self.set_canary_interval,
            switch_exec_reports=self.switch_exec_reports,
        )
        self.stream = PolicyStream(self.http, self.lifecycle, self.control.fetch_policy_soon, reconnect_within=0.01)
        self.threads: list[threading.Thread] = []

    def heartbeat(self) -> wire.Heartbeat:
        number = self.keeper.current.number if self.keeper.current else None
        return wire.Heartbeat("0.1.0", None, ["replay"], "replay", number, wire.Counters(execs=5))

    def set_canary_interval(self, seconds: float | None) -> None:
        self.asked = seconds
        self.heard.set()

    def switch_exec_reports(self, on: bool) -> None:
        self.switches.append(on)
        self.heard.set()

    def start(self, *steps: Callable[[], None]) -> None:
        self.threads += [self.lifecycle.start("test", step) for step in steps]

    def called(self, path: str) -> int:
        return sum(1 for call, _ in self.portal.calls if call == path)


@pytest.fixture
def sensor(portal: FakePortal, state: StateDirectory) -> Iterator[Controlled]:
    controlled = Controlled(portal, state)
    yield controlled
    controlled.lifecycle.stopping.set()
    portal.push("end", {})


def test_on_start_the_policy_is_fetched_applied_and_acknowledged(sensor: Controlled) -> None:
    sensor.portal.publish(4)
    sensor.start(sensor.control.step)
    sensor.portal.wait(lambda: bool(sensor.portal.statuses and sensor.portal.heartbeats))
    assert (sensor.portal.statuses[0].number, sensor.portal.statuses[0].state) == (4, "applied")
    assert sensor.portal.heartbeats[0].applied_number == 4
    assert sensor.portal.heartbeats[0].counters.execs == 5


def test_a_heartbeat_response_sets_the_canary_interval(sensor: Controlled) -> None:
    sensor.portal.canary_seconds = 3_600.0
    sensor.start(sensor.control.step)
    assert sensor.heard.wait(20)
    assert sensor.asked == 3_600.0


@pytest.mark.parametrize("on", [True, False])
def test_a_heartbeat_response_switches_reports_of_execs(sensor: Controlled, on: bool) -> None:
    sensor.portal.wants_execs = on
    sensor.start(sensor.control.step)
    assert sensor.heard.wait(20)
    assert sensor.switches == [on]


def test_the_policy_kept_on_disk_is_acknowledged_again(
    sensor: Controlled, portal: FakePortal, state: StateDirectory
) -> None:
    sensor.portal.publish(4)
    sensor.start(sensor.control.step)
    portal.wait(lambda: bool(portal.statuses))
    sensor.lifecycle.stopping.set()
    again = Controlled(portal, state)
    again.start(again.control.step)
    portal.wait(lambda: len(portal.statuses) == 2)
    assert portal.statuses[0] == portal.statuses[1]
    again.lifecycle.stopping.set()


def test_an_acknowledgement_is_retried_until_it_is_accepted(sensor: Controlled) -> None:
    sensor.portal.publish(4)
    sensor.portal.script[STATUS] = [refused(503, "unavailable"), refused(500, "oops")]
    sensor.start(sensor.control.step)
    sensor.portal.wait(lambda: bool(sensor.portal.statuses))
    assert sensor.called(STATUS) == 3


def test_an_acknowledgement_that_the_portal_rejects_is_not_retried_for_ever(
    sensor: Controlled, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    monkeypatch.setattr(sensor.control, "_wait", waits.append)
    sensor.portal.publish(4)
    sensor.portal.script[STATUS] = [refused(422, "invalid")]
    sensor.control.step()
    assert sensor.called(STATUS) == 1
    assert waits[0] > 1_000  # until the next poll, not until the same is said again
    sensor.portal.publish(5)
    sensor.control.fetch_policy_soon()
    sensor.control.step()
    assert [status.number for status in sensor.portal.statuses] == [5]


def test_a_portal_that_is_unreachable_at_first_is_tried_again(sensor: Controlled) -> None:
    sensor.portal.publish(4)
    sensor.portal.script[POLICY] = [refused(503, "unavailable")]
    sensor.start(sensor.control.step)
    sensor.portal.wait(lambda: bool(sensor.portal.statuses))
    assert sensor.keeper.current is not None


def test_a_heartbeat_response_makes_up_for_a_lost_push(sensor: Controlled) -> None:
    sensor.portal.script[POLICY] = [refused(404, "no_policy")]
    sensor.portal.publish(4)
    sensor.start(sensor.control.step)
    sensor.portal.wait(lambda: bool(sensor.portal.statuses))
    assert sensor.called(HEARTBEAT) == 1


def test_a_rejected_bundle_is_not_fetched_again_at_each_heartbeat(sensor: Controlled) -> None:
    bundle = sensor.portal.publish(4)
    sensor.portal.bundle = wire.SignedPolicy("unknown", bundle.signature, bundle.payload)
    sensor.start(sensor.control.step)
    sensor.portal.wait(lambda: bool(sensor.portal.heartbeats and sensor.portal.statuses))
    assert sensor.portal.statuses[0].state == "rejected"
    assert "enrol this node again" in sensor.portal.statuses[0].error
    sensor.control.fetch_policy_soon()
    sensor.portal.wait(lambda: sensor.called(POLICY) == 2)


@pytest.mark.parametrize("path", [POLICY, STATUS, HEARTBEAT, TICKET])
@pytest.mark.parametrize("code", [(401, "not_authenticated"), (403, "sensor_revoked")])
def test_a_final_answer_to_any_call_stops_the_sensor(sensor: Controlled, path: str, code: tuple[int, str]) -> None:
    sensor.portal.publish(4)
    sensor.portal.always[path] = refused(*code)
    sensor.start(sensor.control.step, sensor.stream.step)
    assert sensor.lifecycle.stopping.wait(30)
    assert str(sensor.lifecycle.fatal) == f"it is {code[1]}"


def test_a_push_fetches_the_new_policy_at_once(sensor: Controlled) -> None:
    sensor.portal.publish(4)
    sensor.start(sensor.control.step, sensor.stream.step)
    sensor.portal.wait(lambda: bool(sensor.portal.statuses) and sensor.called("stream") == 1)
    sensor.portal.publish(5)
    sensor.portal.push("policy", {"number": 5, "etag": sensor.portal.etag})
    sensor.portal.wait(lambda: sensor.portal.statuses[-1].number == 5)


def until(condition: Callable[[], bool]) -> None:
    """Wait for an effect of a response: the sensor makes no call that the portal would see."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


def test_a_push_applies_a_switched_environment_at_once(sensor: Controlled) -> None:
    sensor.portal.publish(4)
    sensor.start(sensor.control.step, sensor.stream.step)
    sensor.portal.wait(lambda: bool(sensor.portal.statuses) and sensor.called("stream") == 1)
    sensor.portal.always[POLICY] = refused(403, "environment_off")
    sensor.portal.push("policy", {"number": 4, "etag": sensor.portal.etag})
    until(lambda: sensor.lifecycle.environment_off)

    del sensor.portal.always[POLICY]
    sensor.portal.push("policy", {"number": 4, "etag": sensor.portal.etag})
    until(lambda: not sensor.lifecycle.environment_off)


def test_a_push_during_a_failing_call_is_not_delayed(sensor: Controlled) -> None:
    def fail() -> None:
        sensor.control.fetch_policy_soon()
        raise PortalUnavailable("away")

    fetching = sensor.control._policy_call
    fetching.call = fail
    sensor.control._make(fetching)

    assert fetching.due == 0.0


def test_a_keepalive_with_another_epoch_reveals_a_lost_push(sensor: Controlled) -> None:
    sensor.portal.publish(4)
    sensor.start(sensor.control.step, sensor.stream.step)
    sensor.portal.wait(lambda: bool(sensor.portal.statuses) and sensor.called("stream") == 1)
    sensor.portal.push("keepalive", {"epoch": 1})
    sensor.portal.publish(5)
    sensor.portal.push("keepalive", {"epoch": 1})
    sensor.portal.push("keepalive", {"epoch": 2})
    sensor.portal.wait(lambda: sensor.portal.statuses[-1].number == 5)


def test_a_fetch_after_a_broadcast_push_is_within_the_given_spread(
    sensor: Controlled, monkeypatch: pytest.MonkeyPatch
) -> None:
    moments: list[float] = []
    monkeypatch.setattr(sensor.stream, "_changed", moments.append)
    for within in (20, 1e9, -5):
        sensor.stream._handle("policy", b'{"number":5,"etag":"e","within":%d}' % within)
    sensor.stream._handle("keepalive", b'{"epoch":1,"within":7}')
    sensor.stream._handle("keepalive", b'{"epoch":2,"within":8}')
    assert moments == [20, MAX_WITHIN_SECONDS, 0, 8]


def test_a_second_push_never_delays_the_fetch(sensor: Controlled, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("random.uniform", lambda low, high: high)
    sensor.control.fetch_policy_soon(30)
    meant = sensor.control._policy_call.due
    sensor.control.fetch_policy_soon(500)
    assert sensor.control._policy_call.due == meant
    sensor.control.fetch_policy_soon()
    assert sensor.control._policy_call.due == 0


def test_after_a_broken_stream_a_new_one_is_opened_and_the_policy_fetched(sensor: Controlled) -> None:
    sensor.portal.publish(4)
    sensor.start(sensor.control.step, sensor.stream.step)
    sensor.portal.wait(lambda: bool(sensor.portal.statuses) and sensor.called("stream") == 1)
    sensor.portal.publish(5)
    sensor.portal.push("end", {})
    sensor.portal.wait(lambda: sensor.portal.statuses[-1].number == 5 and sensor.called("stream") == 2)


def test_without_a_gateway_polling_fetches_the_policy(sensor: Controlled) -> None:
    sensor.portal.always[TICKET] = (502, b"", {})
    sensor.portal.publish(4)
    sensor.start(sensor.control.step, sensor.stream.step)
    sensor.portal.wait(lambda: bool(sensor.portal.statuses))
    assert sensor.lifecycle.fatal is None


def test_stream_events_are_found_wherever_the_bytes_are_split() -> None:
    text = b': hello\n\nevent: policy\ndata: {"number": 2,\ndata: "etag": "e"}\n\nevent:keepalive\r\ndata: {}\r\n\r\n'
    expected = [("", b""), ("policy", b'{"number": 2,\n"etag": "e"}'), ("keepalive", b"{}")]
    assert list(server_sent_events([text])) == expected
    one_by_one = server_sent_events(text[i : i + 1] for i in range(len(text)))
    assert [event for event in one_by_one if event[0]] == expected[1:]


def test_an_endless_event_breaks_the_stream() -> None:
    with pytest.raises(PortalUnavailable, match="endless"):
        list(server_sent_events([b"data: " + b"x" * MAX_EVENT_BYTES]))


def test_bytes_that_are_not_a_keepalive_do_not_keep_a_stream_alive() -> None:
    times = iter([0.0, 30.0, 31.0, 61.0, 92.0])
    found = named_events([("", b""), ("keepalive", b"{}"), ("", b""), ("", b"")], 60.0, lambda: next(times))
    assert next(found) == ("keepalive", b"{}")
    with pytest.raises(PortalUnavailable, match="no keep-alive"):
        next(found)


def test_an_invalid_keepalive_breaks_the_stream(sensor: Controlled) -> None:
    with pytest.raises(PortalUnavailable, match="invalid event"):
        sensor.stream._handle("keepalive", b"[")
