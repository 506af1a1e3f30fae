"""The check of a held exec by rules on the session and on who wrote the file."""

from __future__ import annotations

import dataclasses

import msgspec
import pytest

from sensor.capture.block_tables import ExecMark, ExecMarks
from sensor.file_state import OriginFlag
from sensor.record import LastWriter, SessionOf
from tests.unit.sensor.blocking.checked_box import Box, Json, block, scope
from tests.unit.sensor.policy.test_document import minimal_rule

DPKG = LastWriter(1, 7, b"dpkg", b"/usr/bin/dpkg", 6, b"apt-get", is_opener=True)
WHOLE = OriginFlag.WHOLE | OriginFlag.IMAGE | OriginFlag.WORKLOAD
"""Written by the image's own programs in the workload's session, from when it was empty on."""
TRUSTED = {"writer_origin": "image", "written_by": "/usr/bin/dpkg", "written_in_session": "workload"}
UNKNOWN, WORKLOAD, EXEC = SessionOf.UNKNOWN, SessionOf.WORKLOAD, SessionOf.EXEC


def scopes(**conditions: str) -> list[Json]:
    return [condition for name, value in conditions.items() for condition in scope(name, value)]


def test_a_rule_on_the_session_stops_that_session_alone(box: Box) -> None:
    box.put(box.upper, "tmp/x", b"new")
    box.follow(block(process_scope=scopes(session="exec")))
    said = [box.says("tmp/x", session=session) for session in (UNKNOWN, WORKLOAD, EXEC)]
    assert said == [None, None, ExecMark.KILL]


def test_an_unknown_session_satisfies_no_rule_that_would_let_it_run(box: Box) -> None:
    box.put(box.upper, "tmp/x", b"new")
    box.follow(minimal_rule(2, action="ignore", process_scope=scopes(session="workload")), block())
    said = [box.says("tmp/x", session=session) for session in (UNKNOWN, WORKLOAD, EXEC)]
    assert said == [ExecMark.KILL, None, ExecMark.KILL]


def test_a_file_of_a_trusted_writer_runs_with_its_own_data_alone(box: Box) -> None:
    box.write_as("tmp/x", WHOLE, DPKG)
    box.follow(minimal_rule(2, action="ignore", process_scope=scopes(**TRUSTED)), block())
    marks, data = box.finding("tmp/x")
    assert marks.known is not None
    assert set(marks.known) == {ExecMark.CHECKED}
    assert set(marks.unknown) == {ExecMark.KILL}
    assert data == box.records.of((box.upper / "tmp/x").stat().st_ino)


@pytest.mark.parametrize(
    "origins",
    [
        pytest.param(WHOLE | OriginFlag.DRIFT, id="also drift"),
        pytest.param(WHOLE | OriginFlag.UNKNOWN, id="also somebody unknown"),
        pytest.param(WHOLE | OriginFlag.RUNTIME, id="also the node"),
        pytest.param(WHOLE | OriginFlag.EXEC, id="also a person"),
        pytest.param(WHOLE | OriginFlag.NO_SESSION, id="also somebody of no known session"),
        pytest.param(WHOLE | OriginFlag.OTHER, id="also another container"),
        pytest.param(WHOLE & ~OriginFlag.WHOLE, id="it was not empty when the record began"),
    ],
)
def test_one_more_writer_of_less_trust_ends_the_trust(box: Box, origins: int) -> None:
    box.write_as("tmp/x", origins, DPKG)
    box.follow(minimal_rule(2, action="ignore", process_scope=scopes(**TRUSTED)), block())
    assert {box.says("tmp/x", session=WORKLOAD, is_known=is_known) for is_known in (True, False)} == {ExecMark.KILL}


def test_a_rule_on_drifted_writers_stops_what_they_wrote(box: Box) -> None:
    box.write_as("tmp/x", WHOLE | OriginFlag.DRIFT)
    box.write_as("tmp/y", WHOLE)
    box.follow(block(process_scope=scopes(writer_origin="drift")))
    assert (box.says("tmp/x", is_known=True), box.says("tmp/y", is_known=True)) == (ExecMark.KILL, None)
    assert box.says("tmp/x") is None


def test_the_name_of_the_writer_is_not_known_where_somebody_wrote_after_it(box: Box) -> None:
    box.write_as("tmp/x", WHOLE, msgspec.structs.replace(DPKG, is_opener=False))
    box.follow(minimal_rule(2, action="ignore", process_scope=scopes(written_by="/usr/bin/dpkg")), block())
    assert box.says("tmp/x", is_known=True) is ExecMark.KILL


def test_a_block_above_wins_over_trust_below(box: Box) -> None:
    box.write_as("tmp/x", WHOLE, DPKG)
    above = block(process_scope=scopes(process_path="/tmp/x"))
    box.follow(above, minimal_rule(2, action="ignore", process_scope=scopes(**TRUSTED)))
    assert box.says("tmp/x", is_known=True) is ExecMark.KILL


def test_past_the_kill_limit_no_file_is_denied_unchecked_that_a_trusted_writer_may_have_written(box: Box) -> None:
    box.write_as("tmp/x", WHOLE, DPKG)
    opened = box.opened("tmp/x")
    box.follow(minimal_rule(2, action="ignore", process_scope=scopes(**TRUSTED)), block())
    assert box.checker.unchecked_marks(box.policy, box.held(), opened) == ExecMarks.always(ExecMark.LATE)
    box.follow(minimal_rule(2, action="ignore", process_scope=scopes(session="workload")), block())
    denied = box.checker.unchecked_marks(box.policy, box.held(), opened)
    assert denied.unknown == (ExecMark.KILL, ExecMark.LATE, ExecMark.KILL)


def test_writers_are_looked_up_only_where_a_rule_asks_for_them(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def look_at_writer(fd: int) -> tuple[None, None]:
        asked.append(fd)
        return None, None

    monkeypatch.setattr(box.records, "look_at_writer", look_at_writer)
    box.put(box.upper, "tmp/x", b"new")
    box.follow(block(process_scope=scopes(session="exec")))
    box.finding("tmp/x")
    assert asked == []
    box.follow(block(process_scope=scopes(written_by_name="curl")))
    assert box.says("tmp/x") is None
    assert len(asked) == 1


def test_an_ephemeral_container_s_own_processes_are_not_the_workload(box: Box) -> None:
    box.put(box.upper, "tmp/x", b"new")
    box.follow(minimal_rule(2, action="ignore", process_scope=scopes(session="workload")), block())
    held = dataclasses.replace(box.held(), role="debug")
    marks, _ = box.checker.check(box.policy, held, box.opened("tmp/x"))
    assert marks == ExecMarks.always(ExecMark.KILL)
