"""Which scripts a program was opened for."""

from __future__ import annotations

from sensor.capture.fanotify.namespaces import Namespace
from sensor.capture.fanotify.waiting_scripts import WaitingScripts
from tests.unit.sensor.capture.fanotify.test_pending_execs import opened

OTHER_SPACE = Namespace(2, 4_001, 6)


def test_a_script_waits_for_its_program_though_another_namespace_s_file_was_opened_below_it() -> None:
    """An overlay on another one opens the lower one's file too, which is of no container by its mount."""
    scripts = WaitingScripts(10)
    below, script, program = (opened(until=float("inf")) for _ in range(3))
    below.space = OTHER_SPACE
    program.space = script.space
    assert scripts.keep(below)
    assert scripts.keep(script)
    assert scripts.take(program) == [script]
    assert scripts.take(program) == []


def test_a_script_whose_time_is_over_belongs_to_no_program() -> None:
    scripts = WaitingScripts(10)
    script = opened(until=0.0)
    assert scripts.keep(script)
    assert scripts.take(script) == []
