"""The check of a held exec, on directories that stand in for an image layer and the container's own layer."""

from __future__ import annotations

import errno
import hashlib
from pathlib import Path
from typing import Any

import pytest

from sensor.blocking import exec_check
from sensor.blocking.block_plan import NEW
from sensor.blocking.exec_check import ExecChecker, ImageIndexes
from sensor.capture.block_tables import ExecMark, ExecMarks
from sensor.file_state import FileState, StateFlag
from sensor.files.handles import OpenFile
from tests.unit.sensor.blocking.checked_box import Box, Json, block, scope
from tests.unit.sensor.policy.test_document import minimal_rule


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

    def fails(file: OpenFile, before: FileState | None = None) -> Any:
        if file.ino == ino:
            raise OSError(errno.EIO, "Input/output error")
        return read(file, before)

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
