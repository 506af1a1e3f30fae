"""Complete lines are read back, wherever a write was interrupted."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensor.delivery import frames

json_lines = st.lists(st.binary(max_size=60).map(lambda raw: raw.hex().encode()), max_size=12)


@given(json_lines, st.data())
def test_a_file_cut_at_any_byte_yields_exactly_its_whole_lines(lines: list[bytes], data: st.DataObject) -> None:
    whole = b"".join(map(frames.frame, lines))
    cut = data.draw(st.integers(0, len(whole)))
    read, good_end, broken = frames.parse(whole[:cut])
    assert read == lines[: len(read)]
    assert good_end == sum(len(frames.frame(line)) for line in read)
    assert cut - good_end < len(frames.frame(lines[len(read)])) if len(read) < len(lines) else cut == good_end
    assert broken == 0


@given(json_lines.filter(bool), st.binary(max_size=80))
def test_garbage_at_the_end_is_truncated_and_never_read(lines: list[bytes], garbage: bytes) -> None:
    whole = b"".join(map(frames.frame, lines))
    assert frames.parse(whole + garbage) == (lines, len(whole), 0)


@given(json_lines.filter(lambda lines: len(lines) > 2), st.data())
def test_a_corrupt_line_is_skipped_and_counted(lines: list[bytes], data: st.DataObject) -> None:
    framed = [frames.frame(line) for line in lines]
    victim = data.draw(st.integers(0, len(lines) - 2))
    position = data.draw(st.integers(0, len(framed[victim]) - 2))
    framed[victim] = framed[victim][:position] + b"\x7f" + framed[victim][position + 1 :]
    read, good_end, broken = frames.parse(b"".join(framed))
    assert read == lines[:victim] + lines[victim + 1 :]
    assert (good_end, broken) == (len(b"".join(framed)), 1)


def test_reading_truncates_an_incomplete_last_line(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(frames.frame(b"1") + frames.frame(b"22")[:-3])
    assert frames.read(path) == ([b"1"], 0)
    assert path.read_bytes() == frames.frame(b"1")


def test_an_append_that_fails_halfway_leaves_the_file_unchanged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = frames.FrameFile(tmp_path / "a")
    file.append([b"1"], sync=True)
    real_write, calls = os.write, list[int]()

    def full_disk(descriptor: int, data: memoryview) -> int:
        calls.append(1)
        if len(calls) > 1:
            raise OSError(28, "No space left on device")
        return real_write(descriptor, data[:7])

    monkeypatch.setattr(os, "write", full_disk)
    with pytest.raises(OSError, match="No space"):
        file.append([b"2", b"3"], sync=True)
    monkeypatch.undo()
    file.append([b"4"], sync=True)
    assert frames.read(tmp_path / "a") == ([b"1", b"4"], 0)


def test_a_file_is_never_appended_to_by_two_sensors(tmp_path: Path) -> None:
    frames.FrameFile(tmp_path / "a").close()
    with pytest.raises(FileExistsError):
        frames.FrameFile(tmp_path / "a")
