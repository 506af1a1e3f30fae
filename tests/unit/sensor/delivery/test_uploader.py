"""How the uploader handles each response (docs/sensor.md#when-the-portal-rejects-a-request): no loss, no repeat."""

from __future__ import annotations

import datetime as dt
import errno
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from sensor import wire
from sensor.delivery.backoff import Backoff
from sensor.delivery.client import PortalClient
from sensor.delivery.lifecycle import Lifecycle
from sensor.delivery.rejected_events import RejectedEvents
from sensor.delivery.spool import Spool
from sensor.delivery.uploader import Uploader
from tests.unit.sensor.fake_portal import CREDENTIAL, Answer, FakePortal, refused
from tests.unit.sensor.makers import make_event

EVENTS = "sensors/me/events"


class Sending:
    """An uploader with its spool, connected to the fake portal."""

    def __init__(self, directory: Path, portal: FakePortal) -> None:
        self.portal = portal
        self.spool = Spool(directory / "spool")
        self.aside = RejectedEvents(directory / "set-aside.jsonl")
        self.lifecycle = Lifecycle()
        self.waits: list[float] = []
        self.lifecycle.pause = self.waits.append  # type: ignore[method-assign,assignment]
        self.uploader = Uploader(PortalClient(portal.url, CREDENTIAL), self.spool, self.aside, self.lifecycle)

    def put(self, *events: wire.Event) -> None:
        assert self.spool.append([msgspec.json.encode(event) for event in events]) == len(events)

    def deliver(self) -> None:
        """Send until the spool is empty or the sensor stops."""
        while self.spool.waiting and not self.lifecycle.stopping.is_set():
            self.uploader.step()

    def set_aside(self) -> list[dict[str, Any]]:
        path = self.aside._path
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@pytest.fixture
def sending(tmp_path: Path, portal: FakePortal) -> Sending:
    return Sending(tmp_path, portal)


def ids(*numbers: int) -> set[Any]:
    return {make_event(number).event_id for number in numbers}


def test_stored_events_are_deleted_from_the_disk(sending: Sending) -> None:
    sending.put(*map(make_event, range(2_100)))
    sending.deliver()
    assert sending.portal.events.keys() == ids(*range(2_100))
    assert sending.portal.received == 2_100
    assert sending.portal.calls[0][1]["Content-Encoding"] == "gzip"
    assert list((sending.spool._directory).iterdir()) == []


@pytest.mark.parametrize(
    "answer",
    [
        refused(429, "busy"),
        refused(500, "oops"),
        refused(503, "unavailable"),
        (502, b"<html>bad gateway</html>", {}),
        (404, b"<html>not this address</html>", {}),
        refused(404, "not_found"),
        refused(409, "conflict"),
        (200, b"<html>a captive portal</html>", {}),
    ],
)
def test_after_an_error_the_same_events_are_sent_again(sending: Sending, answer: Answer) -> None:
    sending.put(make_event(1), make_event(2))
    sending.portal.script[EVENTS] = [answer] * 4
    sending.deliver()
    assert sending.portal.events.keys() == ids(1, 2)
    assert len(sending.waits) == 4
    assert all(0.5 * 2**n <= wait <= 2**n for n, wait in enumerate(sending.waits))
    assert sending.set_aside() == []


def test_retry_after_is_respected(sending: Sending) -> None:
    sending.put(make_event(1))
    sending.portal.script[EVENTS] = [refused(429, "busy", headers={"Retry-After": "30"})]
    sending.deliver()
    assert 30 <= sending.waits[0] <= 31


def test_delays_grow_to_a_minute_and_start_small_again_after_a_success() -> None:
    backoff = Backoff()
    waits = [backoff.next() for _ in range(40)]
    assert max(waits) <= 60
    assert min(waits[10:]) >= 30
    assert len(set(waits[10:])) > 1, "without jitter all sensors would come back at once"
    backoff.reset()
    assert backoff.next() <= 1


def test_a_rejected_credential_stops_the_sensor_and_keeps_the_events(sending: Sending) -> None:
    sending.put(make_event(1))
    sending.portal.always[EVENTS] = refused(401, "not_authenticated")
    sending.deliver()
    assert sending.lifecycle.stopping.is_set()
    assert str(sending.lifecycle.fatal) == "it is not_authenticated"
    assert sending.spool.waiting == 1


def test_a_revoked_sensor_stops_for_good(sending: Sending) -> None:
    sending.put(make_event(1))
    sending.portal.always[EVENTS] = refused(403, "sensor_revoked")
    sending.deliver()
    assert type(sending.lifecycle.fatal).__name__ == "SensorRevoked"
    assert sending.spool.waiting == 1


def test_while_the_environment_is_off_events_wait_and_are_sent_once_it_is_on(sending: Sending) -> None:
    sending.put(make_event(1))
    sending.portal.script[EVENTS] = [refused(403, "environment_off")] * 3
    sending.uploader.step()
    assert not sending.lifecycle.environment_off
    assert len(sending.waits) == 3
    assert all(15 <= wait <= 30 for wait in sending.waits)
    assert sending.portal.events.keys() == ids(1)


def test_the_environment_is_known_to_be_off_while_it_is(sending: Sending) -> None:
    sending.put(make_event(1))
    sending.portal.always[EVENTS] = refused(403, "environment_off")
    sending.lifecycle.pause = lambda _: sending.lifecycle.stopping.set()  # type: ignore[method-assign,assignment]
    sending.uploader.step()
    assert sending.lifecycle.environment_off
    assert sending.lifecycle.fatal is None
    assert sending.spool.waiting == 1


def test_a_batch_that_is_too_large_is_split(sending: Sending) -> None:
    sending.put(*map(make_event, range(100)))
    sending.portal.judge = lambda events: refused(413, "too_large") if len(events) > 10 else None
    sending.deliver()
    assert sending.portal.events.keys() == ids(*range(100))
    assert sending.portal.received == 100
    assert sending.set_aside() == []


def test_one_event_that_is_too_large_for_a_portal_is_set_aside(sending: Sending) -> None:
    sending.put(*map(make_event, range(4)))
    bad = str(make_event(2).event_id)
    sending.portal.judge = lambda events: refused(413, "too_large") if bad in str(events) else None
    sending.deliver()
    assert sending.portal.events.keys() == ids(0, 1, 3)
    assert [entry["event"]["event_id"] for entry in sending.set_aside()] == [bad]


def refusing(*bad: int, code: str = "invalid") -> Any:
    """Return a check that rejects the first bad event of a batch, as the portal does."""
    refused_ids = {str(make_event(number).event_id) for number in bad}

    def judge(events: list[Any]) -> Answer | None:
        for index, event in enumerate(events):
            if event["event_id"] in refused_ids:
                return refused(422, code, index=index, field="process.path")
        return None

    return judge


def test_a_rejected_event_is_set_aside_and_the_rest_is_sent(sending: Sending) -> None:
    sending.put(*map(make_event, range(50)))
    sending.portal.judge = refusing(0, 7, 8, 49)
    sending.deliver()
    assert sending.portal.events.keys() == ids(*set(range(50)) - {0, 7, 8, 49})
    assert {entry["event"]["event_id"] for entry in sending.set_aside()} == set(map(str, ids(0, 7, 8, 49)))
    assert {(entry["code"], entry["field"]) for entry in sending.set_aside()} == {("invalid", "process.path")}
    assert sending.aside.count == 4


def test_a_rejection_without_an_index_is_narrowed_down(sending: Sending) -> None:
    bad = str(make_event(5).event_id)
    sending.put(*map(make_event, range(16)))
    sending.portal.judge = lambda events: refused(400, "bad_body") if bad in str(events) else None
    sending.deliver()
    assert sending.portal.events.keys() == ids(*set(range(16)) - {5})
    assert [entry["code"] for entry in sending.set_aside()] == ["bad_body"]


def test_an_invalid_index_is_ignored(sending: Sending) -> None:
    sending.put(make_event(1), make_event(2))
    sending.portal.script[EVENTS] = [refused(422, "invalid", index=99)]
    sending.deliver()
    assert sending.portal.events.keys() == ids(1, 2)


def in_future(number: int) -> wire.Event:
    event = make_event(number)
    event.observed_at = event.last_at = dt.datetime.now(dt.UTC) + dt.timedelta(hours=2)
    return event


def skewed(events: list[Any]) -> Answer | None:
    limit = dt.datetime.now(dt.UTC) + dt.timedelta(minutes=10)
    for index, event in enumerate(events):
        if dt.datetime.fromisoformat(event["observed_at"]) > limit:
            return refused(422, "clock_skew", index=index, field="observed_at")
    return None


def test_an_event_from_the_future_is_sent_again_with_the_current_time_and_its_id(sending: Sending) -> None:
    sending.put(make_event(1), in_future(2), in_future(3))
    sending.portal.judge = skewed
    sending.deliver()
    assert sending.portal.events.keys() == ids(1, 2, 3)
    assert len(sending.portal.calls) == 2
    assert sending.portal.events[make_event(1).event_id].observed_at == make_event(1).observed_at
    assert sending.portal.events[make_event(2).event_id].observed_at <= dt.datetime.now(dt.UTC)


def test_with_a_clock_that_is_still_wrong_the_event_gets_the_portal_s_time(sending: Sending) -> None:
    sending.put(in_future(1))
    portal_time = dt.datetime.now(dt.UTC).replace(microsecond=0) - dt.timedelta(days=1)
    words = portal_time.strftime("%a, %d %b %Y %H:%M:%S GMT")
    sending.portal.script[EVENTS] = [refused(422, "clock_skew", index=0, headers={"Date": words})]
    sending.deliver()
    assert sending.portal.events[make_event(1).event_id].observed_at == portal_time


def test_an_event_whose_time_is_rejected_twice_is_set_aside(sending: Sending) -> None:
    sending.put(in_future(1), make_event(2))
    sending.portal.judge = refusing(1, code="clock_skew")
    sending.deliver()
    assert sending.portal.events.keys() == ids(2)
    assert [entry["code"] for entry in sending.set_aside()] == ["clock_skew"]


def test_after_a_lost_response_events_are_sent_again_and_stored_once(sending: Sending) -> None:
    sending.put(make_event(1))
    stored = sending.portal.judge

    def judge(events: list[Any]) -> Answer | None:
        sending.portal.judge = stored
        for event in events:
            decoded = msgspec.convert(event, wire.Event)
            sending.portal.events[decoded.event_id] = decoded
        return 502, b"", {}

    sending.portal.judge = judge
    sending.deliver()
    assert sending.portal.events.keys() == ids(1)
    assert sending.portal.received == 1


def test_lines_lost_on_disk_are_counted(sending: Sending) -> None:
    sending.put(make_event(1), make_event(2))
    segment = sending.spool.oldest()
    assert segment is not None
    data = segment.path.read_bytes()
    segment.path.write_bytes(data[:40] + b"#" + data[41:])
    sending.deliver()
    assert sending.portal.events.keys() == ids(2)
    assert sending.uploader.broken == 1


def test_an_unreadable_segment_does_not_delay_the_others(sending: Sending) -> None:
    sending.put(make_event(1), make_event(2))
    unreadable = sending.spool.oldest()
    assert unreadable is not None
    sending.put(make_event(3))
    unreadable.path.unlink()
    unreadable.path.mkdir()
    sending.deliver()
    assert sending.portal.events.keys() == ids(3)
    assert sending.spool.broken == 2
    assert unreadable.path.with_name(unreadable.path.name + ".broken").exists()


def test_a_segment_is_sent_later_if_only_descriptors_ran_out(sending: Sending, monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left(_: Path) -> bytes:
        raise OSError(errno.EMFILE, "Too many open files")

    sending.put(make_event(1))
    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", none_left)
        with pytest.raises(OSError, match="Too many"):
            sending.uploader.step()
    sending.deliver()
    assert sending.portal.events.keys() == ids(1)


@contextmanager
def threads_of(running: Lifecycle, *steps: Any) -> Iterator[None]:
    threads = [running.start("test", step) for step in steps]
    yield
    running.stopping.set()
    for thread in threads:
        thread.join(timeout=30)
        assert not thread.is_alive()


def test_an_error_in_a_thread_pauses_it_and_does_not_end_it(caplog: pytest.LogCaptureFixture) -> None:
    running, done, calls = Lifecycle(), threading.Event(), []
    running.pause = lambda _: None  # type: ignore[method-assign,assignment]

    def step() -> None:
        calls.append(1)
        if len(calls) == 1:
            raise RuntimeError("odd")
        done.set()
        running.stopping.wait(30)

    with threads_of(running, step):
        assert done.wait(30)
    assert "failed and continues" in caplog.text
