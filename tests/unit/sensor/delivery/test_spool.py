"""The spool keeps stored events through kill -9, a full disk and a long outage of the portal."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sensor.delivery import frames
from sensor.delivery.spool import Spool


def line(number: int, size: int = 40) -> bytes:
    return b'{"n":%d,"x":"%s"}' % (number, b"x" * size)


def drain(spool: Spool) -> list[bytes]:
    lines = []
    while segment := spool.oldest():
        lines += segment.lines()
        spool.drop(segment)
    return lines


def test_events_are_returned_in_the_order_they_were_stored(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    events = [line(number) for number in range(2_500)]
    assert spool.append(events[:1]) == 1
    assert spool.append(events[1:]) == 2_499
    assert spool.waiting == 2_500
    assert drain(spool) == events
    assert spool.waiting == 0
    assert list(tmp_path.iterdir()) == []


def test_a_segment_holds_at_most_a_thousand_events_and_its_bytes(tmp_path: Path) -> None:
    spool = Spool(tmp_path, segment_bytes=10_000)
    spool.append([line(number) for number in range(3_000)])
    while segment := spool.oldest():
        assert segment.events <= 1_000
        assert segment.path.stat().st_size == segment.size <= 10_000
        spool.drop(segment)


def test_a_segment_that_is_being_sent_is_never_appended_to(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.append([line(1)])
    taken = spool.oldest()
    spool.append([line(2)])
    assert taken is not None
    assert taken.lines() == [line(1)]
    assert spool.oldest() == taken
    spool.drop(taken)
    assert drain(spool) == [line(2)]


def test_a_new_process_finds_everything_that_was_not_dropped(tmp_path: Path) -> None:
    first = Spool(tmp_path)
    first.append([line(1)])
    first.oldest()
    first.append([line(2)])
    second = Spool(tmp_path)
    assert second.waiting == 2
    second.append([line(3)])
    assert drain(second) == [line(1), line(2), line(3)]


@given(st.data())
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
def test_after_a_kill_at_any_byte_nothing_committed_to_the_capture_is_lost(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    directory = tmp_path_factory.mktemp("spool")
    spool = Spool(directory, segment_bytes=500)
    events = [line(number) for number in range(data.draw(st.integers(1, 20)))]
    spool.append(events)
    unfinished = frames.frame(line(99))[: data.draw(st.integers(0, 60))]
    newest = max(directory.iterdir())
    newest.write_bytes(newest.read_bytes() + unfinished)
    recovered = Spool(directory, segment_bytes=500)
    recovered.append([line(100)])
    assert drain(recovered) == [*events, line(100)]
    assert recovered.broken == 0


def test_a_file_torn_before_its_first_line_is_dropped(tmp_path: Path) -> None:
    (tmp_path / "0000000000000007.jsonl").write_bytes(b"00000")
    spool = Spool(tmp_path)
    assert spool.oldest() is None
    assert list(tmp_path.iterdir()) == []


def test_past_its_limit_the_spool_returns_how_many_events_it_stored(tmp_path: Path) -> None:
    spool = Spool(tmp_path, max_bytes=1_000, segment_bytes=300)
    stored = spool.append([line(number) for number in range(100)])
    assert 0 < stored < 100
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 1_000
    assert spool.append([line(100)]) == 0
    assert drain(spool) == [line(number) for number in range(stored)]
    assert spool.append([line(101)]) == 1


@pytest.mark.parametrize("failing", ["write", "fdatasync", "open"])
def test_with_a_full_disk_nothing_is_stored_or_broken_and_it_recovers_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    spool = Spool(tmp_path)
    spool.append([line(1)])
    spool.oldest()
    spool.append([line(2)])
    if failing == "open":
        spool.close()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, failing, full)
        assert spool.append([line(3)]) == 0
    assert spool.append([line(4)]) == 1
    assert drain(spool) == [line(1), line(2), line(4)]
    assert Spool(tmp_path).broken == 0


def test_an_append_wakes_the_uploader(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    taken: list[object] = []
    sender = threading.Thread(target=lambda: taken.append(spool.oldest(timeout=30)))
    sender.start()
    spool.append([line(1)])
    sender.join(timeout=30)
    assert len(taken) == 1
    assert taken[0] is not None


def test_a_corrupt_line_loses_only_itself(tmp_path: Path) -> None:
    Spool(tmp_path).append([line(1), line(2), line(3)])
    path = next(tmp_path.iterdir())
    path.write_bytes(path.read_bytes().replace(b'"n":2', b'"n":7'))
    spool = Spool(tmp_path)
    assert spool.broken == 1
    assert drain(spool) == [line(1), line(3)]


def test_an_unreadable_segment_does_not_abort_the_start(tmp_path: Path) -> None:
    Spool(tmp_path).append([line(1)])
    (tmp_path / "0000000000000002.jsonl").mkdir()
    spool = Spool(tmp_path)
    assert spool.broken == 1
    spool.append([line(2)])
    assert drain(spool) == [line(1), line(2)]
