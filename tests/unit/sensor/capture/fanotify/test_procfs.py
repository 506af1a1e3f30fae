"""What /proc shows of a process, alive and exited."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sensor.capture.fanotify import procfs
from sensor.capture.fanotify.procfs import (
    Fork,
    cgroup_names,
    process_ancestors,
    process_facts,
    process_stat,
    program_path,
    running_file,
)


@pytest.fixture
def child(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that waits; its arguments are not valid UTF-8."""
    command: list[str | bytes] = [sys.executable, "-c", "input()", b"\xff\n"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, cwd=tmp_path) as process:
        yield process


def test_the_facts_of_a_process_are_those_of_what_it_runs(child: subprocess.Popen[bytes], tmp_path: Path) -> None:
    while (facts := process_facts(child.pid)) is None or facts.argv[-1:] != (b"\xff\n",):
        pass
    assert (facts.pid, facts.parent, facts.uid) == (child.pid, os.getpid(), os.getuid())
    assert facts.exe == running_file(os.getpid())
    assert (facts.cwd, facts.root, facts.argv_cut) == (bytes(tmp_path), b"/", False)
    assert facts.start_ns >= process_stat(os.getpid())[2]


def test_an_exited_process_has_no_facts() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    assert (process_facts(process.pid), running_file(process.pid), program_path(process.pid)) == (None, None, b"")
    assert cgroup_names(process.pid) == ()


def test_ancestors_reach_the_first_process_past_exited_ones() -> None:
    gone, now = 2**22 - 1, time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    above = process_ancestors(gone, now, lambda pid, _: Fork(os.getpid(), now) if pid == gone else None)
    assert above[0] == (os.getpid(), process_stat(os.getpid())[0])
    assert above[1][0] == os.getppid()
    assert process_ancestors(gone, now, lambda *_: None) == ()
    assert process_ancestors(None, now, lambda *_: None) == ()


def test_a_process_that_is_younger_than_its_child_is_another_one_with_the_parent_s_pid(
    child: subprocess.Popen[bytes],
) -> None:
    start_ns = process_stat(child.pid)[2]
    assert process_ancestors(child.pid, start_ns, lambda *_: None)[0][0] == child.pid
    assert process_ancestors(child.pid, start_ns - 1, lambda *_: None) == ()
    forked = Fork(os.getpid(), start_ns - 1)
    known = process_ancestors(child.pid, start_ns - 1, lambda pid, _: forked if pid == child.pid else None)
    assert known[0][0] == os.getpid()


def test_pids_that_were_given_again_lead_to_an_end() -> None:
    """Each of two pids was given to a child of an earlier process with the other one."""
    gone = 2**22 - 1
    assert process_ancestors(gone, 1, lambda pid, _: Fork(gone - 1 if pid == gone else gone, 1)) == ()


def test_a_process_that_execs_while_it_is_read_is_not_taken_for_exited(
    child: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = [(1, 1)]
    known = procfs._identity
    monkeypatch.setattr(procfs, "_identity", lambda link: seen.pop() if seen else known(link))
    facts = procfs.process_facts(child.pid)
    assert facts is not None
    assert facts.exe == running_file(os.getpid())
