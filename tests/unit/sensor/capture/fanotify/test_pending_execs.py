"""How long an exec stays pending, and what its record then contains."""

from __future__ import annotations

import math

from sensor.capture.fanotify.exec_in_progress import ExecInProgress, exec_record
from sensor.capture.fanotify.namespaces import Namespace
from sensor.capture.fanotify.pending_execs import LATE_RETRY, LATE_SECONDS, MAX_LATE, PendingExecs
from sensor.capture.fanotify.procfs import ProcessFacts
from sensor.container.mounts import Mount
from sensor.judgement.events import why_not_stopped
from sensor.record import Flag

FILE, BEFORE = (1, 10), (1, 11)


def opened(until: float = 1.0, *, is_certain: bool = True) -> ExecInProgress:
    mount = Mount(7, 1, b"/", b"/", b"overlay", b"")
    space = Namespace(1, 4_000, 5, root=mount)
    return ExecInProgress(
        file=None,
        pid=5,
        time_ns=0,
        space=space,
        mount=mount,
        path=b"/tmp/x",
        exe=FILE,
        link=b"/tmp/x",
        size=3,
        ctime_ns=9,
        until=until,
        is_certain=is_certain,
    )


def facts(exe: tuple[int, int], *argv: bytes, link: bytes = b"/tmp/x") -> ProcessFacts:
    return ProcessFacts(5, 100, 4, 0, exe, argv, argv_cut=False, cwd=b"/tmp", root=b"/", link=link)


def test_a_process_in_the_middle_of_its_exec_stays_pending_until_it_has_its_arguments() -> None:
    """The kernel shows the new program before it has set up the arguments (fs/exec.c, exec_mmap)."""
    seen = [facts(BEFORE, b"sh"), facts(FILE), facts(FILE, b"x", b"1")]
    pending = PendingExecs(lambda _: seen.pop(0), clock=lambda: 0.0)
    exec_ = opened()
    pending.add(exec_)
    assert [pending.ready(), pending.ready()] == [[], []]
    assert pending.ready() == [(exec_, facts(FILE, b"x", b"1"))]
    assert len(pending) == 0


def test_a_process_that_ran_the_same_file_by_another_name_stays_pending() -> None:
    """A hard link to the shell that runs it: device and inode are the same for the two programs."""
    seen = [facts(FILE, b"sh", link=b"/bin/sh"), facts(FILE, b"x", link=b"/tmp/x (deleted)")]
    pending = PendingExecs(lambda _: seen.pop(0), clock=lambda: 0.0)
    exec_ = opened()
    pending.add(exec_)
    assert pending.ready() == []
    assert [found.argv for _, found in pending.ready() if found is not None] == [(b"x",)]


def test_a_process_that_may_have_run_the_same_file_before_stays_pending() -> None:
    """For example a shell that runs a shell script: its program proves nothing, the kernel's report does."""
    exec_ = opened(is_certain=False)
    pending = PendingExecs(lambda _: facts(FILE, b"sh"), clock=lambda: 0.0)
    pending.add(exec_)
    assert pending.ready() == []
    exec_.is_certain = True
    assert pending.ready() == [(exec_, facts(FILE, b"sh"))]


def test_an_exited_process_does_not_stay_pending() -> None:
    pending = PendingExecs(lambda _: None, clock=lambda: 0.0)
    exec_ = opened()
    pending.add(exec_)
    assert pending.ready() == [(exec_, None)]


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_an_exec_is_recorded_as_it_is_after_the_maximum_wait() -> None:
    clock = Clock()
    pending = PendingExecs(lambda _: facts(FILE), clock)
    exec_ = opened(until=1.0)
    pending.add(exec_)
    for clock.now in (0.0, 1.0, 1.0 + LATE_SECONDS - 0.1):
        assert pending.ready() == []
    clock.now = 1.0 + LATE_SECONDS
    assert pending.ready() == [(exec_, facts(FILE))]
    assert pending.retry_seconds == math.inf


def test_a_process_that_gets_no_processor_in_the_middle_of_its_exec_is_known_once_it_has_gone_on() -> None:
    clock, argv = Clock(), list[bytes]()
    pending = PendingExecs(lambda _: facts(FILE, *argv), clock)
    exec_ = opened(until=1.0)
    pending.add(exec_)
    clock.now = 2.0
    assert pending.ready() == []
    argv.append(b"x")
    clock.now = 2.0 + LATE_RETRY
    assert pending.ready() == [(exec_, facts(FILE, b"x"))]


def test_late_execs_are_looked_at_seldom() -> None:
    clock, looks = Clock(), list[float]()

    def looked_at(_: ExecInProgress) -> ProcessFacts:
        looks.append(clock.now)
        return facts(FILE)

    pending = PendingExecs(looked_at, clock)
    pending.add(opened(until=1.0))
    for step in range(1_000):
        clock.now = 1.0 + step / 1_000
        assert pending.ready() == []
    assert len(looks) <= 1 + 1.0 / LATE_RETRY
    assert pending.retry_seconds == LATE_RETRY


def test_in_a_flood_the_execs_past_a_number_are_recorded_as_they_are_without_waiting_longer() -> None:
    clock = Clock()
    pending = PendingExecs(lambda _: facts(FILE), clock)
    for _ in range(MAX_LATE + 3):
        pending.add(opened(until=1.0))
    clock.now = 1.0
    assert len(pending.ready()) == 3


def test_an_interpreter_finds_its_program_also_where_that_is_late() -> None:
    clock = Clock()
    pending = PendingExecs(lambda _: facts(BEFORE, b"sh"), clock)
    program, interpreter = opened(until=1.0), opened()
    pending.add(program)
    clock.now = 2.0
    pending.ready()
    assert pending.add_interpreter(interpreter)
    assert program.interpreter is interpreter


def test_at_the_end_what_waits_is_recorded_as_it_is() -> None:
    clock = Clock()
    pending = PendingExecs(lambda _: facts(FILE), clock)
    pending.add(opened(until=1.0))
    clock.now = 1.5
    assert pending.ready() == []
    pending.add(opened(until=2.0))
    pending.hurry()
    assert len(pending.ready()) == 2


def test_arguments_of_another_exec_are_recorded_as_unknown() -> None:
    for known, argv in ((facts(FILE, b"x"), (b"x",)), (facts(FILE), ()), (facts(BEFORE, b"sh"), ()), (None, ())):
        record = exec_record(opened(), known, lambda *_: None)
        assert (record.argv, bool(record.flags & Flag.ARGV_UNREADABLE)) == (argv, not argv)


def test_this_backend_blocks_nothing_and_reports_that() -> None:
    assert why_not_stopped(exec_record(opened(), None, lambda *_: None).flags) == "not_supported"
