"""How the hold server handles one exec, with a fanotify group and tables that record the calls."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator

import pytest

from sensor.blocking import held_exec, hold_server, inspectors
from sensor.blocking.exec_check import ExecChecker, HeldContainer, ImageIndexes
from sensor.blocking.hold_messages import ForgetContainer, WatchContainer, encoded_line
from sensor.blocking.hold_server import WatchedContainer
from sensor.capture.block_tables import ANY_SCRIPT_INO, ExecMark
from sensor.capture.errors import CaptureUnavailable
from sensor.capture.fanotify.group import CLOSE_WRITE, OPEN_EXEC_PERM, OpenEvent, Scope
from sensor.container.overlay import Layers
from sensor.wire import Container
from tests.unit.sensor.blocking.hold_bench import PATIENCE, Bench, marked

POINT = b"/no-such-point"
"""Nothing is mounted there any more."""


def test_drift_is_marked_before_it_is_released(bench: Bench) -> None:
    bench.follow()
    path = bench.file("tool", b"evil", image=b"good")
    bench.open(path)
    bench.spy.await_allowed()
    expected = ("mark", os.getpid(), path.stat().st_ino, ExecMark.KILL)
    assert bench.spy.calls.index(expected) < bench.spy.calls.index(("allow",))


def test_an_allowed_exec_is_released_without_a_mark(bench: Bench) -> None:
    bench.follow(process_scope=[{"property": "drift_kind", "any_of": [{"operator": "equals", "value": "new_file"}]}])
    bench.open(bench.file("tool", b"good", image=b"good"))
    bench.spy.await_allowed()
    assert marked(bench) == []


def test_a_checked_exec_may_run_with_the_data_that_were_checked(bench: Bench) -> None:
    """Where others would be stopped: somebody may write to it until it starts."""
    bench.follow()
    path = bench.file("tool", b"good", image=b"good")
    bench.open(path)
    bench.spy.await_allowed()
    ino = path.stat().st_ino
    assert ("mark", os.getpid(), ino, ExecMark.CHECKED, bench.spy.records.of(ino)) in bench.spy.calls


def test_an_image_file_is_held_each_time_where_the_kernel_program_does_not_stop_one_that_was_mapped(
    bench: Bench,
) -> None:
    bench.watch(kinds=0)
    bench.follow()
    path = bench.file("tool", b"good", image=b"good")
    original = bench.lower / str(path).lstrip("/")
    path.unlink()
    os.link(original, path)
    bench.open(path)
    assert [each for each in bench.spy.await_allowed() if each[0] == "ignore"] == []
    bench.follow(process_scope=[{"property": "drift_kind", "any_of": [{"operator": "equals", "value": "new_file"}]}])
    bench.open(path)
    assert ("ignore", OPEN_EXEC_PERM, 4) in bench.spy.await_allowed(2)


def test_a_new_policy_ends_what_was_left_out(bench: Bench) -> None:
    bench.follow()
    assert ("flush", Scope.INODE) in bench.spy.calls


def test_an_image_file_is_inspected_once(bench: Bench) -> None:
    bench.follow()
    path = bench.file("tool", b"good", image=b"good")
    original = bench.lower / str(path).lstrip("/")
    path.unlink()
    os.link(original, path)  # the very same file, as overlay shows what is in no upper layer
    bench.open(path)
    assert ("ignore", OPEN_EXEC_PERM, 4) in bench.spy.await_allowed()
    bench.server._watched.clear()
    bench.open(path)
    assert bench.spy.calls.count(("allow",)) == 2


def test_an_image_file_is_inspected_again_once_whoever_wrote_to_it_has_closed_it(bench: Bench) -> None:
    """Of writes through a mapping nothing else is told."""
    bench.follow()
    path = bench.image_file("tool")
    bench.open(path)
    bench.spy.await_allowed()
    ino = path.stat().st_ino
    assert ("watch", CLOSE_WRITE, ino) in bench.spy.calls
    bench.server._take(OpenEvent(CLOSE_WRITE, os.open(path, os.O_RDONLY), 1))
    assert ("stop_ignoring", OPEN_EXEC_PERM, ino) in bench.spy.calls
    assert bench.spy.calls.count(("allow",)) == 1


def test_an_image_file_that_is_written_to_just_before_it_is_left_out_is_not(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.follow()
    path = bench.image_file("tool")
    monkeypatch.setattr(bench.spy, "ignore", lambda _mask, _fd: path.write_bytes(b"evil"))
    bench.open(path)
    bench.spy.await_allowed()
    assert ("stop_ignoring", OPEN_EXEC_PERM, path.stat().st_ino) in bench.spy.calls


def test_an_allowed_exec_clears_an_earlier_mark_of_the_same_file(bench: Bench) -> None:
    bench.follow(process_scope=[{"property": "drift_kind", "any_of": [{"operator": "equals", "value": "new_file"}]}])
    path = bench.file("tool", b"good", image=b"good")
    bench.open(path)
    calls = bench.spy.await_allowed()
    assert ("unmark", os.getpid(), path.stat().st_ino) in calls


def test_a_script_is_also_marked_where_the_kernel_cannot_recognise_it(bench: Bench) -> None:
    bench.follow(process_scope=[{"property": "drift_kind", "any_of": [{"operator": "equals", "value": "script"}]}])
    path = bench.file("drop.sh", b"#!/bin/sh\n")
    bench.open(path)
    calls = bench.spy.await_allowed()
    assert {each for each in calls if each[:2] == ("mark", os.getpid())} == {
        ("mark", os.getpid(), path.stat().st_ino, ExecMark.KILL),
        ("mark", os.getpid(), ANY_SCRIPT_INO, ExecMark.KILL),
    }
    bench.open(bench.file("run.sh", b"#!/bin/sh\n", image=b"#!/bin/sh\n"))  # perhaps its interpreter
    assert ("unmark", os.getpid(), ANY_SCRIPT_INO) not in bench.spy.await_allowed(2)


def test_a_mount_that_the_process_cannot_see_is_no_way_around_blocking(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after chroot, with the file open."""
    monkeypatch.setattr(held_exec, "_mounts_by_id", lambda _: {})
    bench.follow()
    bench.open(bench.file("tool", b"evil", image=b"good"))
    bench.spy.await_allowed()
    assert marked(bench) == [ExecMark.KILL]


def test_before_the_first_policy_everything_runs(bench: Bench) -> None:
    bench.open(bench.file("tool", b"evil", image=b"good"))
    bench.spy.await_allowed()
    assert marked(bench) == []


def test_nothing_is_inspected_after_the_lease_expires(bench: Bench) -> None:
    bench.follow()
    bench.spy.lease = 0.0
    bench.open(bench.file("tool", b"evil", image=b"good"))
    assert bench.spy.calls[-1] == ("allow",)
    assert marked(bench) == []


def test_an_inspection_that_times_out_releases_the_exec_and_reports_it(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hold_server, "HOLD_SECONDS", 0.01)
    hanging = bench.hang(monkeypatch)
    bench.follow()
    bench.open(bench.file("tool", b"evil", image=b"good"))
    until = time.monotonic() + PATIENCE
    while ("allow",) not in bench.spy.calls and time.monotonic() < until:
        bench.server._keep_deadlines()
    hanging.set()
    assert marked(bench) == [ExecMark.LATE]
    bench.open(bench.file("other", b"good", image=b"good"))
    bench.spy.await_allowed(2)
    assert bench.spy.calls.count(("allow",)) == 2


def test_a_container_with_a_hanging_file_does_not_delay_other_containers(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    hanging = bench.hang(monkeypatch)
    bench.follow()
    for number in range(10):
        bench.open(bench.file(f"tool{number}", b"evil", image=b"good"))
    with elsewhere(bench) as other:
        descriptor = os.open(other, os.O_RDONLY)
        bench.server._take(OpenEvent(OPEN_EXEC_PERM, descriptor, os.getpid()))
        bench.spy.await_allowed()
        assert bench.spy.calls.count(("allow",)) == 1
        assert marked(bench) == [ExecMark.KILL]
    hanging.set()
    bench.spy.await_allowed(11)


@contextlib.contextmanager
def elsewhere(bench: Bench) -> Iterator[str]:
    """Return a file of another container whose root is a filesystem of its own: that of a memfd."""
    fd = os.memfd_create("other")
    try:
        os.write(fd, b"evil")
        container = Container(id="e" * 64, name="other", image_name="app:1")
        held = HeldContainer(Layers((bytes(bench.lower),), b"/upper"), container, (0, 0, 0))
        bench.server._watched[os.fstat(fd).st_dev] = WatchedContainer(held, ExecChecker(ImageIndexes()))
        yield f"/proc/self/fd/{fd}"
    finally:
        os.close(fd)


def test_execs_past_the_limit_are_released_and_reported(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hold_server, "MAX_HELD", 1)
    hanging = bench.hang(monkeypatch)
    for number in range(2):
        bench.open(bench.file(f"tool{number}", b"evil", image=b"good"))
    bench.spy.await_allowed()
    assert marked(bench) == [ExecMark.LATE]
    hanging.set()
    bench.spy.await_allowed(2)


def test_an_error_during_an_inspection_releases_the_exec(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench.server._watched[bench.dev].checker, "is_image_file", lambda *_: 1 / 0)
    bench.open(bench.file("tool", b"evil", image=b"good"))
    bench.spy.await_allowed()
    assert marked(bench) == []


def test_an_exec_that_cannot_be_marked_runs_unless_it_is_to_be_stopped(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise CaptureUnavailable("out of memory")

    bench.follow()
    monkeypatch.setattr(bench.server._tables, "mark", fails)
    for number in range(inspectors.THREADS + 1):
        bench.open(bench.file(f"tool{number}", b"good", image=b"good"))
    assert ("deny",) not in bench.spy.await_allowed(inspectors.THREADS + 1)
    for number in range(inspectors.THREADS + 1):
        bench.open(bench.file(f"other{number}", b"evil", image=b"good"))
    bench.spy.await_calls(("deny",), inspectors.THREADS + 1)
    assert bench.spy.calls.count(("allow",)) == inspectors.THREADS + 1


def test_a_known_container_stays_watched_during_its_update(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    before = hold_server._root
    known: list[bool] = []

    def root_of(message: WatchContainer | ForgetContainer) -> contextlib.AbstractContextManager[int]:
        known.append(message.dev in bench.server._watched)
        return before(message)

    monkeypatch.setattr(hold_server, "_root", root_of)
    bench.watch()
    assert known == [True]


def test_a_container_is_marked_and_unmarked_on_its_filesystem(bench: Bench) -> None:
    bench.send(ForgetContainer(bench.dev, bytes(bench.directory)))
    bench.open(bench.file("tool", b"evil", image=b"good"))
    bench.spy.await_allowed()
    assert [each[0] for each in bench.spy.calls if each[-1] == str(bench.directory)] == ["mark", "unmark"]


@pytest.mark.parametrize("is_there", [True, False])
def test_a_path_below_an_unmounted_root_is_never_marked(bench: Bench, is_there: bool) -> None:
    """Once unmounted, the same path is a directory of the node's own filesystem."""
    container = Container(id="d" * 64, name="ended", image_name="app:1")
    point = bytes(bench.directory) if is_there else POINT
    bench.send(WatchContainer(bench.dev + 1, point, [bytes(bench.lower)], b"/upper", container, (0, 0, 0)))
    bench.send(ForgetContainer(bench.dev + 1, point))
    bench.open(bench.file("tool", b"good", image=b"good"))
    bench.spy.await_allowed()
    filesystems = [each for each in bench.spy.calls if each[1:2] == (OPEN_EXEC_PERM,)]
    assert [each[0] for each in filesystems] == ["mark"]  # the bench's own
    assert bench.dev + 1 not in bench.server._watched


def test_too_many_hanging_inspections_release_all_execs_and_end_the_process(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "_exit", lambda status: bench.spy.calls.append(("exit", status)))
    monkeypatch.setattr(bench.server._inspectors, "replace_slow", lambda: False)
    bench.server._keep_deadlines()
    assert [each for each in bench.spy.calls if each[0] in {"close", "exit"}] == [("close",), ("exit", 3)]


def test_orders_may_arrive_in_pieces(bench: Bench) -> None:
    whole = encoded_line(ForgetContainer(1, POINT)) * 2
    for part in (whole[:7], whole[7:50], whole[50:]):
        bench.orders.sendall(part)
        assert bench.server._read_messages()
    assert bench.server._partial_line == b""


def test_it_exits_when_the_sensor_is_gone(bench: Bench) -> None:
    bench.orders.close()
    assert not bench.server._read_messages()
