"""The sum of counts is exact: across windows, full disks and kill -9 at any moment."""

from __future__ import annotations

import errno
import json
import os
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sensor import wire
from sensor.delivery import frames
from sensor.delivery.aggregation import Aggregator
from sensor.delivery.aggregation_key import aggregation_key
from sensor.delivery.aggregation_window import MAX_CONTAINER_KEYS, MAX_VARIANTS
from sensor.policy.properties import TABLE
from tests.unit.sensor.makers import make_event

NESTED = b'{"more":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
"""Valid JSON, but deeper than a parser follows."""


def summaries(aggregator: Aggregator) -> list[wire.Event]:
    """Return all summaries that are due, as the agent spools them."""
    aggregator.close_due(now=True)
    found = [event for window in list(aggregator.closed) for event in window.summaries()]
    for window in list(aggregator.closed):
        aggregator.drop(window)
    return found


def test_equal_execs_become_one_summary_with_first_last_and_count(tmp_path: Path) -> None:
    aggregator = Aggregator(tmp_path, "boot")
    aggregator.record([make_event(2), make_event(1)], [])
    aggregator.record([make_event(9)], [])
    (summary,) = summaries(aggregator)
    assert (summary.mode, summary.count) == ("summary", 3)
    assert (summary.observed_at, summary.last_at) == (make_event(1).observed_at, make_event(9).last_at)
    assert summary.process == make_event(2).process
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "change",
    [
        lambda event: setattr(event.process, "path", "/tmp/y"),
        lambda event: setattr(event.process, "sha256", None),
        lambda event: setattr(event.process, "argv", ["./x", "-v"]),
        lambda event: setattr(event.process, "parent", wire.Parent("bash", 1)),
        lambda event: setattr(event, "kind", "volume"),
        lambda event: setattr(event, "decision", wire.EventDecision("alert", "r", "scope", 1)),
        lambda event: setattr(event, "outcome", "blocked"),
        lambda event: setattr(event.container, "namespace", "pay"),
        lambda event: setattr(event.container, "pod_name", "p"),
        lambda event: setattr(event.container, "pod_labels", {"a": "b"}),
        lambda event: setattr(event.container, "owner", wire.Owner("Deployment", "cart")),
    ],
)
def test_execs_that_a_policy_can_distinguish_are_counted_separately(
    tmp_path: Path, change: Callable[[wire.Event], None]
) -> None:
    other = make_event(2)
    change(other)
    aggregator = Aggregator(tmp_path, "boot")
    aggregator.record([make_event(1), other], [])
    assert [summary.count for summary in summaries(aggregator)] == [1, 1]


def test_execs_that_differ_in_pid_and_container_are_counted_together(tmp_path: Path) -> None:
    other = make_event(2, pid=77)
    other.container.id = "d" * 64
    aggregator = Aggregator(tmp_path, "boot")
    aggregator.record([make_event(1, pid=1), other], [])
    assert [summary.count for summary in summaries(aggregator)] == [2]
    assert aggregation_key(make_event(1)) == aggregation_key(other)


def test_one_window_ends_before_the_next_and_their_summaries_have_different_ids(tmp_path: Path) -> None:
    aggregator = Aggregator(tmp_path, "boot", seconds=0.0)
    aggregator.record([make_event(1)], [])
    aggregator.close_due()
    aggregator.record([make_event(2)], [])
    (first,) = aggregator.closed[0].summaries()
    aggregator.drop(aggregator.closed[0])
    aggregator.close_due()
    (second,) = aggregator.closed[0].summaries()
    assert first.event_id != second.event_id


def test_while_a_window_waits_for_the_spool_the_next_one_is_filled(tmp_path: Path) -> None:
    aggregator = Aggregator(tmp_path, "boot", seconds=0.0)
    aggregator.record([make_event(1)], [])
    aggregator.close_due()
    for number in range(2, 6):
        aggregator.record([make_event(number)], [])
        aggregator.close_due()
    assert [window.summaries()[0].count for window in aggregator.closed] == [1]
    assert sum(summary.count for summary in summaries(aggregator)) == 5


def test_a_window_is_not_over_before_its_time(tmp_path: Path) -> None:
    aggregator = Aggregator(tmp_path, "boot", seconds=1_000)
    aggregator.record([make_event(1)], [])
    aggregator.close_due()
    assert aggregator.closed == []


def test_an_attacker_who_varies_argv_fills_neither_memory_nor_spool_and_is_counted(tmp_path: Path) -> None:
    aggregator = Aggregator(tmp_path, "boot")
    aggregator.record([make_event(number, argv=["./x", str(number)]) for number in range(1_000)], [])
    found = summaries(aggregator)
    assert len(found) == MAX_VARIANTS + 1
    assert sum(summary.count for summary in found) == 1_000
    rest = max(found, key=lambda summary: summary.count)
    assert (rest.process.argv, rest.process.argv_truncated) == ([], True)


def test_a_container_that_keeps_running_new_files_takes_no_room_from_others(tmp_path: Path) -> None:
    aggregator = Aggregator(tmp_path, "boot")
    flood = [make_event(number, path=f"/tmp/{number}") for number in range(20_000)]
    other = make_event(30_000, path="/tmp/other")
    other.container.id = "d" * 64
    assert aggregator.record([*flood, other], []) == 0
    found = summaries(aggregator)
    assert len(found) == MAX_CONTAINER_KEYS + 2
    assert sum(summary.count for summary in found) == 20_001
    rest = max(found, key=lambda summary: summary.count)
    assert (rest.process.path, rest.kind, rest.container.name, rest.truncated) == ("/*", "new_file", "app", True)
    assert found[-1].process.path == "/tmp/other"


def test_an_attacker_who_varies_the_path_ends_the_window_early(tmp_path: Path) -> None:
    aggregator = Aggregator(tmp_path, "boot", max_keys=10)
    lost = aggregator.record([make_event(number, path=f"/tmp/{number}") for number in range(50)], [])
    aggregator.close_due()
    assert len(aggregator.closed[0].aggregates) == 20
    assert lost == 30


def test_after_kill_9_the_same_summaries_come_with_the_same_ids(tmp_path: Path) -> None:
    aggregator = Aggregator(tmp_path, "boot")
    aggregator.record([make_event(1), make_event(2, argv=["./x", "2"])], [])
    aggregator.record([make_event(3)], [])
    killed = Aggregator(tmp_path, "another boot")
    aggregator.close_due(now=True)
    expected = aggregator.closed[0].summaries()
    assert killed.closed[0].summaries() == expected
    assert Aggregator(tmp_path, "boot").closed[0].summaries() == expected


def test_a_new_process_knows_the_last_batch(tmp_path: Path) -> None:
    aggregator = Aggregator(tmp_path, "boot")
    aggregator.record([make_event(1)], [make_event(2)])
    aggregator.record([make_event(3)], [make_event(4)])
    second = Aggregator(tmp_path, "boot")
    summaries(second)
    for again in (second, Aggregator(tmp_path, "boot"), Aggregator(tmp_path, "boot")):
        assert again.counted >= {make_event(3).event_id}
        assert again.spooled >= {make_event(4).event_id}


@given(st.data())
@settings(max_examples=50, deadline=None)
def test_after_a_kill_at_any_byte_of_the_journal_every_exec_is_counted_once(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """The capture returns a batch again until it is committed, which is after `record` returned."""
    directory = tmp_path_factory.mktemp("aggregator")
    batches = data.draw(st.lists(st.integers(1, 5), min_size=1, max_size=5))
    number, counts = 0, {"a": 0, "b": 0}
    sent: dict[uuid.UUID, int] = {}
    aggregator = Aggregator(directory, "boot")
    for size in batches:
        names = [data.draw(st.sampled_from("ab")) for _ in range(size)]
        for name in names:
            counts[name] += 1
        events = [make_event(number + i, path=f"/{name}") for i, name in enumerate(names)]
        number += size
        before = {path: path.stat().st_size for path in directory.iterdir()}
        aggregator.record(events, [])
        if data.draw(st.booleans()):  # killed during the write, or between write and commit
            newest = max(directory.iterdir())
            os.truncate(newest, data.draw(st.integers(before.get(newest, 0), newest.stat().st_size)))
            aggregator = Aggregator(directory, "boot")
            for summary in summaries(aggregator):
                sent[summary.event_id] = summary.count
            aggregator.record([event for event in events if event.event_id not in aggregator.counted], [])
    for summary in summaries(aggregator):
        sent[summary.event_id] = summary.count
    assert sum(sent.values()) == sum(counts.values())


@pytest.mark.parametrize("failing", ["open", "write", "fdatasync"])
def test_with_a_full_disk_counts_stay_in_memory_and_are_written_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    aggregator = Aggregator(tmp_path, "boot")
    with monkeypatch.context() as patch:
        patch.setattr(os, failing, full)
        aggregator.record([make_event(1)], [])
    aggregator.record([make_event(2)], [])
    assert [summary.count for summary in Aggregator(tmp_path, "boot").closed[0].summaries()] == [2]
    assert [summary.count for summary in summaries(aggregator)] == [2]


def test_a_journal_torn_before_its_first_line_is_dropped(tmp_path: Path) -> None:
    (tmp_path / "0000000000000003.fold").write_bytes(b"0000")
    assert Aggregator(tmp_path, "boot").closed == []
    assert list(tmp_path.iterdir()) == []


def test_the_journal_of_an_open_window_is_compacted_without_losing_counts(tmp_path: Path) -> None:
    aggregator = Aggregator(tmp_path, "boot", seconds=1_000, compact_bytes=5_000)
    for number in range(500):
        aggregator.record([make_event(number, path=f"/tmp/{number % 3}")], [make_event(1_000 + number)])
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 10_000
    again = Aggregator(tmp_path, "boot")
    assert again.counted == {make_event(499).event_id}
    assert again.spooled == {make_event(1_499).event_id}
    assert summaries(again) == summaries(aggregator)


def test_a_journal_that_cannot_be_compacted_is_kept_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    aggregator = Aggregator(tmp_path, "boot", compact_bytes=1_000)
    monkeypatch.setattr(Path, "replace", full)
    for number in range(50):
        aggregator.record([make_event(number)], [])
    monkeypatch.undo()
    assert [path.suffix for path in tmp_path.iterdir()] == [".fold"]
    assert [summary.count for summary in summaries(Aggregator(tmp_path, "boot"))] == [50]


def journal_of(directory: Path, lines: list[bytes]) -> Path:
    path = directory / "0000000000000003.fold"
    path.write_bytes(b"".join(map(frames.frame, lines)))
    return path


def written(directory: Path) -> list[bytes]:
    """Write a journal of three batches and return its lines: header, two execs, the same two again, the first again."""
    aggregator = Aggregator(directory, "boot")
    aggregator.record([make_event(1), make_event(2, path="/y")], [])
    aggregator.record([make_event(3), make_event(4, path="/y")], [])
    aggregator.record([make_event(5)], [make_event(6)])
    (path,) = directory.iterdir()
    lines, _ = frames.read(path)
    path.unlink()
    return lines


@pytest.mark.parametrize(
    ("damage", "lost"),
    [
        (lambda lines: lines[1:], 5),  # the header rotted
        (lambda lines: [lines[0], b'{"another":"shape"}'], 1),
        (lambda lines: [lines[0].replace(b"start_ns", b"start_at"), *lines[1:]], 5),
        (lambda lines: [each.replace(b'"new_file"', b'"no_more_a_kind"') for each in lines], 5),
        (lambda lines: [NESTED, *lines[1:]], 5),
        (lambda lines: [*lines[:2], NESTED, *lines[3:]], 3),
        (
            lambda lines: [
                lines[0],
                lines[1].replace(b'"event":{', b'"event":{"more":' + NESTED + b",", 1),
                *lines[2:],
            ],
            3,
        ),
    ],
)
def test_an_invalid_journal_is_set_aside_and_counted(
    tmp_path: Path, damage: Callable[[list[bytes]], list[bytes]], lost: int
) -> None:
    path = journal_of(tmp_path, damage(written(tmp_path)))
    aggregator = Aggregator(tmp_path, "boot")
    assert aggregator.broken == lost
    assert [each.name for each in tmp_path.iterdir()] == [path.name + ".broken"]
    aggregator.record([make_event(7)], [])
    assert [summary.count for summary in summaries(aggregator)] == [1]
    assert Aggregator(tmp_path, "boot").broken == 0


def test_counts_in_a_corrupt_line_are_counted_as_lost(tmp_path: Path) -> None:
    header, _, *rest = written(tmp_path)
    path = journal_of(tmp_path, [header, b"rotten", *rest])
    path.write_bytes(path.read_bytes().replace(b"rotten", b"ROTTEN"))
    aggregator = Aggregator(tmp_path, "boot")
    assert aggregator.closed[0].summaries() == []
    assert aggregator.broken == 1 + 3


def test_an_unreadable_journal_is_set_aside(tmp_path: Path) -> None:
    (tmp_path / "0000000000000003.fold").mkdir()
    assert Aggregator(tmp_path, "boot").broken == 1


def test_a_journal_is_kept_if_only_descriptors_ran_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left(_: Path) -> bytes:
        raise OSError(errno.EMFILE, "Too many open files")

    path = journal_of(tmp_path, written(tmp_path))
    monkeypatch.setattr(Path, "read_bytes", none_left)
    with pytest.raises(OSError, match="Too many"):
        Aggregator(tmp_path, "boot")
    assert path.exists()


@pytest.mark.parametrize(
    ("path", "form"),
    [(path, each.form) for each in TABLE for path in each.event if not path.startswith("credential.")],
)
def test_every_property_that_a_policy_can_look_at_is_in_the_key(path: str, form: str) -> None:
    event = make_event(1)
    event.process.parent, event.container.owner = wire.Parent("sh", 1), wire.Owner("Deployment", "cart")
    event.process.file_origin = wire.FileOrigin(image_name="docker.io/library/model:1")
    event.process.provenance = wire.ProcessProvenance("exec")
    changed = json.loads(msgspec.json.encode(event))
    holder: Any = changed
    *owners, name = path.removeprefix("event.").replace("?", "").split(".")
    for owner in owners:
        holder = holder[owner]
    enums = {"kind": "script", "session": "workload", "writer_origin": "drift", "written_in_session": "workload"}
    holder[name] = {"app": "another"} if form == "labels" else enums.get(name, "b" * 64)
    other = msgspec.json.decode(msgspec.json.encode(changed), type=wire.Event)
    assert aggregation_key(event) != aggregation_key(other)
