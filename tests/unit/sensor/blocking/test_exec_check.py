"""The check of a held exec, on directories that stand in for an image layer and the container's own layer."""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from sensor.blocking import exec_check
from sensor.blocking.block_plan import NEW, ClusterLocation
from sensor.blocking.exec_check import ExecChecker, Finding, HeldContainer, HoldPolicy, ImageIndexes, OpenedFile
from sensor.capture.block_tables import ExecMark, ExecMarks
from sensor.container.overlay import Layers
from sensor.file_state import OriginFlag, StateFlag
from sensor.files.handles import OpenFile
from sensor.policy import DEFAULT_DETECT, compile_policy
from sensor.record import LastWriter, SessionOf
from sensor.wire import Container
from tests.unit.sensor.file_states import FakeWriteRecords
from tests.unit.sensor.policy.test_document import document_of, minimal_rule

Json = dict[str, Any]


class Box:
    """One container; its root is the upper directory alone, because every opened file lies there."""

    def __init__(self, directory: Path) -> None:
        self.lower, self.upper = directory / "lower", directory / "upper"
        self._open: list[OpenFile] = []
        self.records = FakeWriteRecords()
        self.checker = ExecChecker(ImageIndexes(), self.records)
        self.follow(minimal_rule(action="ignore"))

    def put(self, layer: Path, path: str, content: bytes) -> None:
        (layer / path).parent.mkdir(parents=True, exist_ok=True)
        (layer / path).write_bytes(content)
        (layer / path).chmod(0o755)

    def follow(self, *rules: Json, detect: tuple[str, ...] = DEFAULT_DETECT) -> None:
        self.policy = HoldPolicy(
            compile_policy(document_of(*rules)), frozenset(detect), ClusterLocation("azure", "1", "prod")
        )

    def held(self, kinds: int = 0) -> HeldContainer:
        layers = Layers((bytes(self.lower),), bytes(self.upper))
        return HeldContainer(layers, Container(id="c" * 64, name="app", image_name="app:1"), (kinds, kinds, kinds))

    def opened(self, path: str, layer: Path | None = None, seen_at: str = "", parent: bytes = b"sh") -> OpenedFile:
        fd = os.open((layer or self.upper) / path, os.O_RDONLY)
        facts = os.fstat(fd)
        file = OpenFile(fd, facts.st_size, facts.st_ino, facts.st_dev, facts.st_ctime_ns)
        self._open.append(file)
        return OpenedFile(file, f"/{seen_at or path}".encode(), f"/{path}".encode(), parent)

    def finding(self, path: str, kinds: int = 0, **more: Any) -> Finding:
        return self.checker.check(self.policy, self.held(kinds), self.opened(path, **more))

    def says(
        self, path: str, kinds: int = 0, *, session: int = SessionOf.UNKNOWN, is_known: bool = False, **more: Any
    ) -> ExecMark | None:
        """Return the mark; None where the exec may run, also where that is for the checked data alone.

        `is_known`: of a file whose writers are those that the record has.
        """
        marks, data = self.finding(path, kinds, **more)
        mark = (marks.unknown if marks.known is None or not is_known else marks.known)[session]
        return None if mark is ExecMark.CHECKED and data is not None else mark

    def write_as(self, path: str, origins: int, writer: LastWriter | None = None) -> None:
        """Put a file there whose record has these writers."""
        self.put(self.upper, path, b"new " + path.encode())
        ino = (self.upper / path).stat().st_ino
        self.records.origins[ino] = origins
        if writer is not None:
            self.records.writers[ino] = writer

    def close(self) -> None:
        for file in self._open:
            file.close()


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    made = Box(tmp_path)
    made.put(made.lower, "bin/tool", b"the image's tool")
    made.put(made.lower, "opt/run.sh", b"#!/bin/sh\n")
    yield made
    made.close()


def block(**fields: Any) -> Json:
    return minimal_rule(action="block", **fields)


def scope(name: str, *values: str) -> list[Json]:
    return [{"property": name, "any_of": [{"operator": "equals", "value": value} for value in values]}]


def test_the_image_s_own_file_is_known_by_its_change_time(box: Box) -> None:
    own = box.opened("bin/tool", box.lower)
    box.put(box.upper, "bin/tool", b"the image's tool")
    assert box.checker.is_image_file(box.held(), own)
    assert not box.checker.is_image_file(box.held(), box.opened("bin/tool"))
    box.put(box.upper, "tmp/x", b"new")
    assert not box.checker.is_image_file(box.held(), box.opened("tmp/x"))


def test_a_touched_or_rewritten_file_of_the_image_runs(box: Box) -> None:
    box.follow(block())
    box.put(box.upper, "bin/tool", b"the image's tool")
    assert box.says("bin/tool") is None


def test_a_file_that_runs_may_do_so_with_the_data_that_were_checked_where_others_would_be_stopped(box: Box) -> None:
    box.put(box.upper, "bin/tool", b"the image's tool")
    data = box.records.of((box.upper / "bin/tool").stat().st_ino)
    box.follow(block())
    assert box.finding("bin/tool") == (ExecMarks.always(ExecMark.CHECKED), data)
    box.follow(block(process_scope=scope("drift_kind", "new_file")))
    assert box.finding("bin/tool") == (ExecMarks.always(None), None)


@pytest.mark.parametrize(("action", "mark"), [("block", ExecMark.KILL), ("alert", ExecMark.LATE)])
def test_a_file_that_somebody_can_write_to_at_any_moment_is_stopped_where_drift_is(
    box: Box, action: str, mark: ExecMark
) -> None:
    box.records.flags |= StateFlag.MAPPED
    box.put(box.upper, "bin/tool", b"the image's tool")
    box.follow(minimal_rule(action=action))
    assert box.says("bin/tool") is mark


def test_a_file_that_was_written_to_is_read_again_though_its_change_time_stays(box: Box) -> None:
    """As of a page of a shared mapping that is written to for the second time."""
    box.follow(block())
    box.put(box.upper, "bin/tool", b"the image's tool")
    path = box.upper / "bin/tool"
    before = path.stat()
    assert box.says("bin/tool") is None
    path.write_bytes(b"something else!!")
    box.records.note_write(before.st_ino)
    opened = box.opened("bin/tool")
    opened.file.ctime_ns = before.st_ctime_ns
    assert box.checker.check(box.policy, box.held(), opened).marks == ExecMarks.always(ExecMark.KILL)


def test_a_replaced_file_is_stopped(box: Box) -> None:
    box.follow(block())
    box.put(box.upper, "bin/tool", b"something else!!")
    assert box.says("bin/tool") is ExecMark.KILL


def test_a_replaced_file_is_decided_by_its_own_kind(box: Box) -> None:
    box.put(box.upper, "bin/tool", b"something else!!")
    box.follow(block(process_scope=scope("drift_kind", "new_file")))
    assert box.says("bin/tool") is None
    box.follow(block(process_scope=scope("drift_kind", "replaced")))
    assert box.says("bin/tool") is ExecMark.KILL


def test_a_file_that_the_kernel_may_stop_is_stopped_without_inspection(box: Box) -> None:
    box.put(box.upper, "tmp/x", b"new")
    assert box.says("tmp/x", NEW) is ExecMark.KILL


def test_an_allowed_hash_lets_only_that_content_run(box: Box) -> None:
    box.put(box.upper, "tmp/x", b"new")
    box.put(box.upper, "tmp/y", b"other")
    box.follow(block(allow_list=["sha256:" + hashlib.sha256(b"new").hexdigest()]))
    assert (box.says("tmp/x"), box.says("tmp/y")) == (None, ExecMark.KILL)


@pytest.mark.parametrize(
    ("name", "value", "other"), [("process_path", "/tmp/x", "/tmp/y"), ("parent_process", "bash", "sh")]
)
def test_path_and_parent_decide(box: Box, name: str, value: str, other: str) -> None:
    box.put(box.upper, "tmp/x", b"new")
    box.follow(block(process_scope=scope(name, value)))
    assert box.says("tmp/x", parent=b"bash") is ExecMark.KILL
    box.follow(block(process_scope=scope(name, other)))
    assert box.says("tmp/x", parent=b"bash") is None


def test_an_exec_runs_if_a_rule_above_may_allow_it_by_a_property_that_is_not_known_yet(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exec_check, "UNKNOWN_WHEN_HELD", frozenset({"parent_process"}))
    box.put(box.upper, "tmp/x", b"new")
    by_path = block(process_scope=scope("process_path", "/tmp/x"))
    box.follow(by_path)
    assert box.says("tmp/x") is ExecMark.KILL
    box.follow(minimal_rule(2, action="ignore", process_scope=scope("parent_process", "make")), by_path)
    assert box.says("tmp/x") is ExecMark.LATE


@pytest.mark.parametrize(
    "other",
    [
        minimal_rule(2, action="block", process_scope=scope("parent_process", "make")),
        minimal_rule(
            2,
            action="ignore",
            process_scope=[*scope("parent_process", "make"), *scope("process_path", "/usr/bin/make")],
        ),
        minimal_rule(
            2,
            action="ignore",
            process_scope=scope("parent_process", "make"),
            resource_scope=scope("image_name", "another:1"),
        ),
        minimal_rule(2, action="ignore", process_scope=scope("parent_process", "make"), enabled=False),
    ],
    ids=["it blocks too", "another path", "another image", "disabled"],
)
def test_a_rule_by_such_a_property_that_decides_nothing_here_lets_nothing_run(
    box: Box, monkeypatch: pytest.MonkeyPatch, other: Json
) -> None:
    monkeypatch.setattr(exec_check, "UNKNOWN_WHEN_HELD", frozenset({"parent_process"}))
    box.put(box.upper, "tmp/x", b"new")
    box.follow(other, block(process_scope=scope("process_path", "/tmp/x")))
    assert box.says("tmp/x") is ExecMark.KILL
    held, opened = box.held(), box.opened("tmp/x")
    assert box.checker.unchecked_marks(box.policy, held, opened) == ExecMarks.always(ExecMark.KILL)


def test_a_copy_of_an_image_file_is_distinguished_from_a_new_file(box: Box) -> None:
    box.put(box.upper, "tmp/copy", b"the image's tool")
    box.put(box.upper, "tmp/new", b"something else!!")
    box.follow(block(process_scope=scope("drift_kind", "copy_of_image_file")))
    assert (box.says("tmp/copy"), box.says("tmp/new")) == (ExecMark.KILL, None)


def test_a_file_seen_at_another_path_comes_from_a_foreign_mount(box: Box) -> None:
    box.put(box.upper, "tmp/x", b"new")
    box.follow(block(process_scope=scope("drift_kind", "foreign_mount")))
    assert (box.says("tmp/x"), box.says("tmp/x", seen_at="mnt/x")) == (None, ExecMark.KILL)


def test_a_script_is_stopped_only_by_a_rule_that_names_it(box: Box) -> None:
    box.put(box.upper, "tmp/x.sh", b"#!/bin/sh\necho\n")
    box.follow(block())
    assert box.says("tmp/x.sh", NEW) is None
    box.follow(block(process_scope=scope("drift_kind", "script")))
    assert box.says("tmp/x.sh", NEW) is ExecMark.KILL


def test_a_touched_script_of_the_image_runs(box: Box) -> None:
    box.follow(block(process_scope=scope("drift_kind", "script")))
    box.put(box.upper, "opt/run.sh", b"#!/bin/sh\n")
    assert box.says("opt/run.sh") is None


def test_an_undetected_kind_runs(box: Box) -> None:
    box.put(box.upper, "tmp/x", b"new")
    box.follow(block(), detect=("fileless",))
    assert box.says("tmp/x") is None


@pytest.fixture
def huge(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make all of the box's files too large to hash in time."""
    monkeypatch.setattr(exec_check, "MAX_HASHED_BYTES", 4)
    box.checker = ExecChecker(ImageIndexes())


@pytest.mark.usefixtures("huge")
def test_a_possible_image_file_that_is_too_large_to_hash_runs_with_that_reason(box: Box) -> None:
    box.follow(block())
    box.put(box.upper, "bin/tool", b"something else!!")
    assert box.says("bin/tool") is ExecMark.LATE


@pytest.mark.usefixtures("huge")
def test_a_huge_file_does_not_evade_a_rule_that_ignores_content(box: Box) -> None:
    box.put(box.upper, "bin/tool", b"something else, and more of it than the image has")
    box.follow(block())
    assert box.says("bin/tool") is ExecMark.KILL
    box.follow(block(allow_list=["sha256:" + 64 * "0"]))
    assert box.says("bin/tool") is ExecMark.LATE


@pytest.mark.usefixtures("huge")
def test_a_huge_script_is_stopped_by_a_rule_that_names_scripts(box: Box) -> None:
    box.put(box.upper, "tmp/x.sh", b"#!/bin/sh\necho\n")
    box.follow(block())
    assert box.says("tmp/x.sh") is not ExecMark.KILL
    box.follow(block(process_scope=scope("drift_kind", "script")))
    assert box.says("tmp/x.sh") is ExecMark.KILL


def unreadable(box: Box, monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    """Make one file unreadable, as on a failing disk."""
    read, ino = box.checker._hasher._read, path.stat().st_ino

    def fails(file: OpenFile) -> Any:
        if file.ino == ino:
            raise OSError(errno.EIO, "Input/output error")
        return read(file)

    monkeypatch.setattr(box.checker._hasher, "_read", fails)


def test_an_unreadable_file_runs_whatever_hashes_the_allow_list_has(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    box.put(box.upper, "tmp/x", b"new")
    box.follow(block(allow_list=["sha256:" + hashlib.sha256(b"new").hexdigest()]))
    unreadable(box, monkeypatch, box.upper / "tmp/x")
    assert box.says("tmp/x") is ExecMark.LATE


def test_a_touched_file_runs_if_the_image_s_file_is_unreadable(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    box.put(box.upper, "bin/tool", b"the image's tool")
    box.follow(block())
    unreadable(box, monkeypatch, box.lower / "bin/tool")
    assert box.says("bin/tool") is None
    box.put(box.upper, "bin/tool", b"of another size")
    assert box.says("bin/tool") is ExecMark.KILL


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
