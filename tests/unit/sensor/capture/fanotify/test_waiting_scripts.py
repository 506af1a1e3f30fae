"""Which scripts a program was opened for."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest

from sensor.capture.fanotify.namespaces import Namespace
from sensor.capture.fanotify.script_lines import NOTHING, Interpreters
from sensor.capture.fanotify.waiting_scripts import MERGED_NS, WaitingScripts
from tests.unit.sensor.capture.fanotify.test_pending_execs import opened

if TYPE_CHECKING:
    from sensor.capture.fanotify.exec_in_progress import ExecInProgress

OTHER_SPACE = Namespace(2, 4_001, 6)
SHELL, FIRST, SECOND, NESTED, FAILED, UNKNOWN, WRAPPED, WRAPPER, OTHER = ((1, number) for number in range(10, 19))
INTERPRETERS = {
    FIRST: Interpreters((SHELL,), 1),
    SECOND: Interpreters((SHELL,), 2),
    NESTED: Interpreters((FIRST, SHELL), 3),
    WRAPPED: Interpreters((WRAPPER, SHELL), 2),
    FAILED: NOTHING,
    UNKNOWN: None,
}
SPACE = opened().space


def interpreters(script: ExecInProgress) -> Interpreters | None:
    return INTERPRETERS[script.exe]


def of(exe: tuple[int, int], *, until: float = float("inf"), time_ns: int = 0) -> ExecInProgress:
    return dataclasses.replace(opened(until=until), exe=exe, space=SPACE, time_ns=time_ns)


@pytest.fixture
def scripts() -> WaitingScripts:
    return WaitingScripts(10, interpreters)


def overdue(scripts: WaitingScripts) -> list[tuple[list[tuple[int, int]], bool]]:
    """The files of the scripts of each exec whose time is over, and whether it is known what ran them."""
    return [([script.exe for script in each.scripts], each.program is not None) for each in scripts.overdue()]


def test_a_script_waits_for_its_program_though_another_namespace_s_file_was_opened_below_it(
    scripts: WaitingScripts,
) -> None:
    """An overlay on another one opens the lower one's file too, which is of no container by its mount."""
    below, script, program = of(FIRST), of(FIRST), of(SHELL)
    below.space = OTHER_SPACE
    assert scripts.keep(below)
    assert scripts.keep(script)
    assert scripts.take(program) == [script]
    assert scripts.take(program) == []
    assert scripts.overdue() == []


def test_a_script_whose_time_is_over_belongs_to_no_program_but_its_interpreter(scripts: WaitingScripts) -> None:
    for script, ran in ((of(FIRST, until=0.0), True), (of(FAILED, until=0.0), False)):
        assert scripts.keep(script)
        assert scripts.take(of(SHELL)) == []
        assert overdue(scripts) == [([script.exe], ran)]


def test_a_script_of_the_interpreter_that_its_process_ran_before_needs_no_report_of_it(scripts: WaitingScripts) -> None:
    """The kernel leaves out what is in the queue already."""
    scripts.take(of(SHELL))
    waiting = [of(exe) for exe in (FIRST, NESTED, FIRST, SECOND, FAILED)]
    for script in waiting:
        scripts.keep(script)
    assert overdue(scripts) == []
    waiting[0].until = 0.0
    assert overdue(scripts) == [([FIRST], True), ([NESTED, FIRST], True), ([SECOND], True), ([FAILED], False)]
    assert overdue(scripts) == []


def test_a_program_that_follows_such_a_script_was_not_opened_for_it(scripts: WaitingScripts) -> None:
    scripts.take(of(SHELL))
    scripts.keep(of(FIRST))
    scripts.keep(last := of(SECOND))
    assert scripts.take(of(SHELL)) == [last]
    assert overdue(scripts) == [([FIRST], True)]
    scripts.keep(of(FIRST))
    assert scripts.take(of(OTHER)) == []
    assert overdue(scripts) == [([FIRST], True)]


@pytest.mark.parametrize("script", [UNKNOWN, FAILED, WRAPPED])
def test_a_program_is_given_the_scripts_before_it_unless_what_they_name_ran_before(
    scripts: WaitingScripts, script: tuple[int, int]
) -> None:
    """Their names may be of a working directory, a chroot, a script of the image, or a link that is gone by now."""
    scripts.take(of(OTHER))
    waiting = [of(script), of(FIRST)]
    for each in waiting:
        scripts.keep(each)
    assert scripts.take(of(SHELL)) == waiting
    assert scripts.overdue() == []
    scripts.keep(alone := of(script))
    assert scripts.take(of(OTHER)) == ([] if script == WRAPPED else [alone])


def test_a_script_of_a_script_of_the_image_needs_no_report_of_what_runs_that(scripts: WaitingScripts) -> None:
    scripts.take(of(SHELL))
    scripts.keep(of(WRAPPED, until=0.0))
    assert overdue(scripts) == [([WRAPPED], True)]


def test_what_a_process_ran_long_before_did_not_run_a_script(scripts: WaitingScripts) -> None:
    scripts.take(of(SHELL))
    scripts.keep(of(FIRST, until=0.0, time_ns=MERGED_NS))
    assert overdue(scripts) == [([FIRST], False)]


def test_a_script_that_may_have_run_by_a_program_that_is_not_known_is_lost(scripts: WaitingScripts) -> None:
    scripts.take(of(OTHER))
    for script, is_lost in ((FIRST, True), (UNKNOWN, True), (WRAPPED, True), (FAILED, False)):
        scripts.keep(of(script, until=0.0))
        assert [(each.as_exec(), each.is_lost) for each in scripts.overdue()] == [(None, is_lost)]


def test_at_the_end_scripts_are_overdue_at_once(scripts: WaitingScripts) -> None:
    scripts.take(of(SHELL))
    scripts.keep(of(FIRST))
    assert scripts.overdue() == []
    scripts.hurry()
    assert overdue(scripts) == [([FIRST], True)]


def test_of_a_script_that_ran_twice_only_the_last_one_s_arguments_may_be_known(scripts: WaitingScripts) -> None:
    scripts.take(of(SHELL))
    for each in (FIRST, SECOND, FIRST):
        scripts.keep(of(each))
    scripts.hurry()
    assert [each.words for each in scripts.overdue()] == [None, 2, 1]
