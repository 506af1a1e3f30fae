"""What a script's first line names, by the kernel's rules."""

from __future__ import annotations

import dataclasses
import os
from typing import TYPE_CHECKING

import pytest

from sensor.capture.fanotify.namespaces import Namespace
from sensor.capture.fanotify.script_lines import MAX_HEAD, NOTHING, Interpreters, first_line, script_interpreters
from sensor.files.handles import OpenFile, file_status
from tests.unit.sensor.capture.fanotify.test_pending_execs import opened

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("head", "found"),
    [
        (b"#!/bin/sh\n", (b"/bin/sh", False)),
        (b"#! \t/bin/sh \t\n", (b"/bin/sh", False)),
        (b"#!/bin/sh", (b"/bin/sh", False)),
        (b"#!/bin/sh -e -x\nexit\n", (b"/bin/sh", True)),
        (b"#!/bin/sh\t-e", (b"/bin/sh", True)),
        (b"#!/bin/sh\0-e\n", (b"/bin/sh", False)),
        (b"#!/bin/sh\r\n", (b"/bin/sh\r", False)),
        (b"#!/a\vb\fc\n", (b"/a\vb\fc", False)),
        (b"#!sh\n", (b"sh", False)),
        (b"#!\n/bin/sh", None),
        (b"#! \t\n", None),
        (b"#!", None),
        (b"#!" + b"/" * (MAX_HEAD - 2), None),
        (b"#!" + b"/" * (MAX_HEAD - 3) + b"\n", (b"/" * (MAX_HEAD - 3), False)),
        (b"#!" + b"/" * (MAX_HEAD - 3) + b" ", (b"/" * (MAX_HEAD - 3), False)),
    ],
)
def test_a_first_line_is_split_as_the_kernel_splits_it(head: bytes, found: tuple[bytes, bool] | None) -> None:
    assert first_line(head) == found


PROGRAM = b"\x7fELF"


def interpreters(directory: Path, script: bytes, **files: bytes) -> Interpreters | None:
    """Of a script beside programs and scripts; DIR stands for their directory."""
    for name, content in (("script", script), *files.items()):
        path = directory / name
        path.write_bytes(content.replace(b"DIR", os.fsencode(directory)))
        path.chmod(0o644 if name == "text" else 0o755)
    fd = os.open(directory / "script", os.O_RDONLY)
    try:
        file = OpenFile(fd, 0, 0, 0, 0)
        return script_interpreters(dataclasses.replace(opened(), file=file, space=Namespace(1, 4_000, os.getpid())))
    finally:
        os.close(fd)


def identities(directory: Path, *names: str) -> tuple[tuple[int, int], ...]:
    found = [file_status(str(directory / name)) for name in names]
    return tuple((each.dev, each.ino) for each in found)


def test_what_a_script_names_is_followed_to_its_program(tmp_path: Path) -> None:
    files = {"wrap": b"#!DIR/sh -e\n", "sh": PROGRAM}
    assert interpreters(tmp_path, b"#!DIR/wrap\n", **files) == (identities(tmp_path, "wrap", "sh"), 3)
    (tmp_path / "link").symlink_to("sh")
    assert interpreters(tmp_path, b"#!DIR/link\n", **files) == (identities(tmp_path, "sh"), 1)


@pytest.mark.parametrize(
    "line", [b"#!DIR/none", b"#!DIR/text", b"#!DIR/data", b"#!DIR", b"#!DIR/loop", b"#!DIR/sh/x", b"#!"]
)
def test_what_names_no_program_can_t_run(tmp_path: Path, line: bytes) -> None:
    files = {"sh": PROGRAM, "text": PROGRAM, "data": b"text", "loop": b"#!DIR/loop"}
    assert interpreters(tmp_path, line, **files) == NOTHING


@pytest.mark.parametrize("line", [b"#!sh\n", b"#!DIR/relative\n", b"rewritten", b"", b"#!/proc/self/exe\n"])
def test_what_depends_on_the_process_or_was_rewritten_is_unknown(tmp_path: Path, line: bytes) -> None:
    assert interpreters(tmp_path, line, sh=PROGRAM, relative=b"#!sh\n") is None


def test_what_a_container_that_is_gone_had_is_unknown() -> None:
    assert script_interpreters(dataclasses.replace(opened(), space=Namespace(1, 4_000, 2**22 + 1))) is None
