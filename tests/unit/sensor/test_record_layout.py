"""The record of an exec is decoded as the kernel program's header lays it out: a field on one side alone fails here."""

from __future__ import annotations

import re
import struct
from pathlib import Path
from typing import NamedTuple

import pytest

import sensor
from sensor import record
from sensor.capture import exec_tracks
from sensor.capture.exec_tracks import KEPT_ANCESTOR, KEPT_EXEC, TRACK
from sensor.capture.write_records import WRITING
from sensor.file_state import StateFlag
from sensor.record import (
    ANCESTOR,
    FILE_FACTS,
    FILE_STATE,
    HEAD,
    HEADER_BYTES,
    MAX_ANCESTORS,
    OPENED,
    PARTS,
    ROLE_INTERPRETER,
    SECTIONS,
    WRITER,
    Flag,
)
from sensor.struct_layout import Layout

HEADER = (Path(sensor.__file__).parent / "capture/bpf/record.h").read_text()
SOURCE = re.sub(r"/\*.*?\*/", "", HEADER, flags=re.DOTALL)
WRITING_SOURCE = re.sub(
    r"/\*.*?\*/", "", (Path(sensor.__file__).parent / "capture/bpf/origin.h").read_text(), flags=re.DOTALL
)
NUMBERS = {"__u32": "I", "__u64": "Q", "__s64": "q"}
"""The header's integer types as formats of the struct module."""


class Field(NamedTuple):
    """One field of a struct in the header: type, name and, for an array, the number of elements."""

    kind: str
    name: str
    elements: str | None

    @property
    def form(self) -> str:
        """Return its format as in `Layout`; KeyError for a struct."""
        return f"{self.elements}s" if self.kind == "char" else NUMBERS[self.kind]


def fields(name: str) -> list[Field]:
    body = re.search(rf"struct {name} {{(.*?)}};", SOURCE, re.DOTALL)
    assert body is not None, f"no struct {name}"
    found = re.findall(r"((?:struct )?\w+) (\w+)(?:\[(\w+)\])?(?:\[(\d+)\])?;", body[1])
    assert len(found) == body[1].count(";")
    # Several strings of one length are one array of characters.
    return [
        Field(kind, name, str(define(elements) * int(each)) if each else elements or None)
        for kind, name, elements, each in found
    ]


def enum(name: str) -> list[tuple[str, str]]:
    body = re.search(rf"enum {name} {{(.*?)}};", SOURCE, re.DOTALL)
    assert body is not None, f"no enum {name}"
    return re.findall(r"(\w+)(?:\s*=\s*([^,]+))?,?", body[1])


def define(name: str) -> int:
    found = re.search(rf"#define {name} (\d+)", SOURCE)
    assert found is not None, f"no {name}"
    return int(found[1])


def has_no_padding(forms: list[str]) -> bool:
    """Return whether C adds no padding between or after the fields, as `Layout` assumes."""
    return struct.calcsize("@" + "".join(forms) + "0Q") == struct.calcsize("<" + "".join(forms))


def test_a_kept_exec_has_the_same_fields_in_the_same_order() -> None:
    forms = {field.name: field.form for field in fields("kept_exec") if field.name != "ancestors"}
    assert {name: form for name, form in KEPT_EXEC.fields.items() if name != "ancestors"} == forms
    assert [field.name for field in fields("kept_exec")] == list(KEPT_EXEC.fields)
    ancestors = next(field for field in fields("kept_exec") if field.name == "ancestors")
    assert KEPT_EXEC.fields["ancestors"] == f"{int(ancestors.elements or 0) * KEPT_ANCESTOR.size}s"
    assert has_no_padding(list(KEPT_EXEC.fields.values()))


def test_as_many_containers_and_execs_are_kept_as_are_read() -> None:
    for name in ("TRACKS", "TRACK_EXECS", "EARLY_EXECS"):
        assert define(name) == getattr(exec_tracks, name)
    assert define("KEPT_ANCESTORS") == exec_tracks.ANCESTORS


@pytest.mark.parametrize(
    ("name", "layout"),
    [
        ("kept_ancestor", KEPT_ANCESTOR),
        ("track", TRACK),
        ("ancestor", ANCESTOR),
        ("file_facts", FILE_FACTS),
        ("writer", WRITER),
        ("file_state", FILE_STATE),
    ],
)
def test_a_struct_has_the_same_fields_in_the_same_order(name: str, layout: Layout) -> None:
    assert layout.fields == {field.name: field.form for field in fields(name)}


def test_the_map_of_writers_has_the_same_fields_in_the_same_order() -> None:
    body = re.search(r"struct writing {(.*?)};", WRITING_SOURCE, re.DOTALL)
    assert body is not None
    (writer, key, *numbers, (kind, names)) = re.findall(r"((?:struct )?\w+) (\w+)(?:\[.*?\])?;", body[1])
    assert (writer, key) == (("struct writer", "who"), ("struct file_key", "key"))
    assert {name: NUMBERS[each] for each, name in numbers} == WRITING.fields
    assert (kind, names) == ("char", "names")
    assert has_no_padding(list(WRITING.fields.values()))


def test_the_header_has_the_same_fields_in_the_same_order() -> None:
    found = fields("header")
    head, tail = found[: len(HEAD.fields)], found[len(HEAD.fields) :]
    assert HEAD.fields == {field.name: field.form for field in head}
    assert tail == [
        Field("__u32", "length", "SECTIONS"),
        Field("struct writer", "writer", None),
        Field("struct file_state", "state", None),
        Field("struct ancestor", "ancestors", "MAX_ANCESTORS"),
    ]
    assert ["head", *(field.name for field in tail[:-1])] == list(PARTS)


def test_an_opened_file_has_the_same_fields_in_the_same_order() -> None:
    file, writer, state, *rest = fields("opened_file")
    assert [file, writer] == [Field("struct file_facts", "file", None), Field("struct writer", "writer", None)]
    assert state == Field("struct file_state", "state", None)
    assert OPENED.fields == {field.name: field.form for field in rest}
    assert enum("role")[ROLE_INTERPRETER][0] == "ROLE_INTERPRETER"


def test_no_struct_has_padding() -> None:
    layouts = [*PARTS.values(), *[ANCESTOR] * MAX_ANCESTORS]
    forms = [form for layout in layouts for form in layout.fields.values()]
    assert has_no_padding(forms), "C pads struct header: a field of 4 bytes needs a second one (`__u32 unused`)"
    assert struct.calcsize("<" + "".join(forms)) == HEADER_BYTES
    opened = [form for layout in (FILE_FACTS, WRITER, FILE_STATE, OPENED) for form in layout.fields.values()]
    assert has_no_padding(opened), "C pads struct opened_file"


def test_the_sections_are_in_the_same_order() -> None:
    assert [*(name.upper() for name in SECTIONS), "SECTIONS"] == [name for name, _ in enum("section")]


@pytest.mark.parametrize(("name", "prefix", "flags"), [("flag", "FLAG_", Flag), ("state_flag", "STATE_", StateFlag)])
def test_the_flags_have_the_same_values(name: str, prefix: str, flags: type) -> None:
    ours = {prefix + name: value for name, value in vars(flags).items() if name.isupper()}
    ours.pop("FLAG_UNSTOPPABLE", None)  # not the kernel's
    shifts = {name: value.split("<<") for name, value in enum(name)}
    assert ours == {name: int(one) << int(by) for name, (one, by) in shifts.items()}


def test_version_and_limits_are_the_same() -> None:
    assert (define("RECORD_VERSION"), define("MAX_ANCESTORS")) == (record.VERSION, MAX_ANCESTORS)
