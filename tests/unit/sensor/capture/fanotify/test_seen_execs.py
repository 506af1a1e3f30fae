"""Whether an exec that the process connector reports is one that fanotify has reported."""

from __future__ import annotations

import time
from dataclasses import replace

from sensor.capture.fanotify.namespaces import NamespaceAt
from sensor.capture.fanotify.process_log import EndedExec
from sensor.capture.fanotify.procfs import ProcessFacts
from sensor.capture.fanotify.seen_execs import SeenExecs

FILE = (1, 10)


def started(start_ns: int) -> ProcessFacts:
    return ProcessFacts(5, start_ns, 4, 0, FILE, (b"x",), argv_cut=False, cwd=b"/", root=b"/", link=b"/x")


def test_the_exec_of_a_process_was_seen_and_of_no_other_file_or_process() -> None:
    seen = SeenExecs()
    seen.note(5, FILE)
    before = started(time.clock_gettime_ns(time.CLOCK_BOOTTIME) - 1_000_000_000)
    assert seen.has(before)
    assert not seen.has(replace(before, exe=(1, 11)))
    assert not seen.has(replace(before, pid=6))


def test_a_process_with_the_pid_of_an_earlier_one_was_not_seen_to_run_the_same_program() -> None:
    """Its exec would be lost, and nobody would count it."""
    seen = SeenExecs()
    seen.note(5, FILE)
    younger = started(time.clock_gettime_ns(time.CLOCK_BOOTTIME) + 1)
    assert not seen.has(younger)
    seen.note(5, FILE)
    assert seen.has(younger)


def test_of_a_process_that_is_gone_any_file_that_it_opened_since_it_began_may_be_what_it_ran() -> None:
    seen = SeenExecs()
    ended = EndedExec(5, time.clock_gettime_ns(time.CLOCK_BOOTTIME), above=4, where=NamespaceAt(5, 0.0))
    assert not seen.may_have(ended)
    seen.note_process(5)
    assert seen.may_have(ended)
    assert not seen.may_have(ended._replace(forked_ns=time.clock_gettime_ns(time.CLOCK_BOOTTIME) + 1))
    assert not seen.may_have(ended._replace(facts=started(ended.forked_ns)))
    seen.note(5, FILE)
    assert seen.may_have(ended._replace(facts=started(ended.forked_ns)))
