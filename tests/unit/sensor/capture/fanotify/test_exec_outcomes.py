"""Which of the files that an exec opened its process ran."""

from __future__ import annotations

import dataclasses
import os
import time
from typing import TYPE_CHECKING, Any, cast

import pytest

from sensor.capture.fanotify.exec_in_progress import ExecInProgress
from sensor.capture.fanotify.exec_outcomes import ExecOutcomes
from sensor.capture.fanotify.namespaces import Namespace, NamespaceAt
from sensor.capture.fanotify.process_log import EndedExec
from sensor.capture.fanotify.procfs import ProcessFacts, process_facts
from sensor.capture.fanotify.seen_execs import SeenExecs
from sensor.container.mounts import Mount

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sensor.capture.fanotify.namespaces import Namespaces
    from sensor.capture.fanotify.process_log import ProcessLog
    from sensor.judgement.examine import Examiner
    from sensor.record import Record

PROGRAM, LOADER = (1, 10), (1, 11)


def opened(exe: tuple[int, int], path: bytes, pid: int = 5, time_ns: int = 0) -> ExecInProgress:
    mount = Mount(7, 1, b"/", b"/", b"overlay", b"")
    return ExecInProgress(
        file=None,
        pid=pid,
        time_ns=time_ns,
        space=Namespace(1, 4_000, 5, root=mount),
        mount=mount,
        path=path,
        exe=exe,
        link=path,
        size=3,
        ctime_ns=9,
        until=1.0,
    )


def facts(exe: tuple[int, int], path: bytes) -> ProcessFacts:
    return ProcessFacts(5, 100, 4, 0, exe, (path,), argv_cut=False, cwd=b"/", root=b"/", link=path)


class Log:
    """The connector's log of one process."""

    def __init__(self, *logged: ProcessFacts) -> None:
        self._logged = {each.exe: each for each in logged}

    def facts(self, _: int, exe: tuple[int, int]) -> ProcessFacts | None:
        return self._logged.get(exe)

    def fork(self, _pid: int, _before_ns: int) -> None:
        return None


class AllDrifts:
    """An examiner that takes everything for drift."""

    def examine(self, record: Record, *_: object) -> Any:
        return record.path, record.argv, [each.path for each in record.opened]

    def __init__(self) -> None:
        self.missed: list[str] = []

    def miss(self, what: str) -> None:
        self.missed.append(what)


def told(program: ExecInProgress, *logged: ProcessFacts, missed: Sequence[str] = ()) -> list[Any]:
    examiner = AllDrifts()
    outcomes = ExecOutcomes(cast("Examiner", examiner), cast("ProcessLog", Log(*logged)))
    events = list(outcomes.events(program, outcomes.facts(program)))
    assert examiner.missed == list(missed)
    return events


def test_a_program_is_told_with_the_interpreter_that_was_opened_for_it() -> None:
    program = opened(PROGRAM, b"/bin/a")
    program.interpreter = opened(LOADER, b"/lib/ld.so")
    assert told(program, facts(PROGRAM, b"/bin/a")) == [(b"/bin/a", (b"/bin/a",), [b"/lib/ld.so"])]


def test_what_was_opened_after_a_program_and_ran_is_told_as_a_program_too() -> None:
    """Where the program's own loader was not reported again: its process ran both, one after the other."""
    program = opened(PROGRAM, b"/bin/a")
    program.interpreter = opened(LOADER, b"/tmp/b")
    both = facts(PROGRAM, b"/bin/a"), facts(LOADER, b"/tmp/b")
    assert told(program, *both) == [(b"/tmp/b", (b"/tmp/b",), []), (b"/bin/a", (b"/bin/a",), [])]
    assert told(program, both[1]) == [(b"/tmp/b", (b"/tmp/b",), [])]


@pytest.mark.parametrize(
    ("words", "argv", "is_own"),
    [
        (1, (b"/bin/a", b"/tmp/x", b"1"), True),
        (1, (b"/bin/a", b"./x"), True),
        (2, (b"/bin/a", b"-e", b"/tmp/x"), True),
        (1, (b"/bin/a", b"/tmp/y", b"/tmp/x"), False),
        (2, (b"/bin/a", b"/tmp/x", b"/tmp/y"), False),
        (1, (b"/bin/a",), False),
        (None, (b"/bin/a", b"/tmp/x"), False),
    ],
)
def test_of_several_scripts_of_one_interpreter_each_has_the_arguments_that_name_it(
    words: int | None, argv: tuple[bytes, ...], *, is_own: bool
) -> None:
    program = opened(PROGRAM, b"/bin/a")
    program.scripts, program.is_one_of_several, program.words = [opened((1, 12), b"/tmp/x")], True, words
    logged = dataclasses.replace(facts(PROGRAM, b"/bin/a"), argv=argv, cwd=b"/tmp")
    missed = () if is_own else ("argv",)
    assert told(program, logged, missed=missed) == [(b"/bin/a", argv if is_own else (), [b"/tmp/x"])]


def test_a_process_that_began_after_the_file_was_opened_is_another_one_with_its_pid() -> None:
    now = process_facts(os.getpid())
    assert now is not None
    ours = opened(now.exe, now.link, os.getpid(), time.clock_gettime_ns(time.CLOCK_BOOTTIME))
    outcomes = ExecOutcomes(cast("Examiner", AllDrifts()), None)
    assert outcomes.facts(ours) == now
    assert outcomes.facts(dataclasses.replace(ours, time_ns=now.start_ns - 1)) is None


CONTAINER = Namespace(1, 40, 4, root=Mount(7, 1, b"/", b"/", b"overlay", b""))
SERVICE = Namespace(2, 60, 6, root=Mount(8, 2, b"/", b"/", b"ext4", b""))


class Spaces:
    """A node on which process 4 is in a container, 3 in a chroot of a namespace below, and nothing else lives."""

    def at(self, noted: NamespaceAt) -> Namespace | None:
        return {40: CONTAINER, 60: SERVICE}.get(noted.inum)

    def above(self, pid: int) -> Namespace | None:
        return CONTAINER if pid in {3, 4} else None


class Losses:
    """An examiner that keeps what is lost; the service is in no container."""

    def __init__(self) -> None:
        self.lost: list[tuple[str, int | None]] = []

    def resolve(self, record: Record) -> int | None:
        # What a container's first record shows may be kept: its process must be one of the container's.
        assert record.pid * 10 == record.namespace_inum
        return record.namespace_inum if record.namespace_inum == 40 else None

    def lose(self, cause: str, resolved: int | None = None) -> None:
        self.lost.append((cause, resolved))


@pytest.mark.parametrize(
    ("ended", "lost"),
    [
        (EndedExec(5, 1, above=4, where=NamespaceAt(40, 0.0)), [("process_gone", 40)]),
        (EndedExec(5, 1, above=0, where=NamespaceAt(40, 0.0)), [("process_gone", 40)]),
        (EndedExec(5, 1, above=8, where=NamespaceAt(40, 0.0)), [("process_gone", 40)]),
        (EndedExec(5, 1, above=4, where=NamespaceAt(41, 0.0)), [("process_gone", 40)]),
        (EndedExec(5, 1, above=3, where=NamespaceAt(41, 0.0)), [("process_gone", 40)]),
        (EndedExec(5, 1, above=8, where=NamespaceAt(41, 0.0)), [("process_gone", None)]),
        (EndedExec(5, 1, above=6, where=NamespaceAt(60, 0.0)), []),
        (EndedExec(5, 1, above=8, where=NamespaceAt(41, 0.0, is_nodes=True)), []),
        (EndedExec(5, 1, above=4, where=NamespaceAt(41, 0.0, is_nodes=True)), [("process_gone", 40)]),
        (EndedExec(5, 1, above=0, where=NamespaceAt(40, 0.0, is_nodes=True)), [("process_gone", 40)]),
        (EndedExec(9, 1, above=4, where=NamespaceAt(40, 0.0)), []),
        (
            EndedExec(5, 1, above=8, where=NamespaceAt(41, 0.0), facts=facts((2, 7), b"/data/x")),
            [("process_gone", None)],
        ),
    ],
)
def test_execs_in_containers_of_which_nothing_was_seen_are_counted(
    ended: EndedExec, lost: list[tuple[str, int | None]]
) -> None:
    losses, seen = Losses(), SeenExecs()
    seen.note_process(9)
    ExecOutcomes(cast("Examiner", losses), None).count_ended([ended], seen, cast("Namespaces", Spaces()))
    assert losses.lost == lost
