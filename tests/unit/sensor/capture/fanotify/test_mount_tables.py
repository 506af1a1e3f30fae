"""The mounts of a process that changes its root, or ends, while they are read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sensor.capture.fanotify import mount_tables
from sensor.container.mounts import parse_mounts

if TYPE_CHECKING:
    import pytest

    from sensor.container.mounts import Mount

OUTSIDE = parse_mounts(b"20 1 0:30 / / rw - overlay o rw\n21 20 0:31 / /scratch/r rw - overlay o rw\n")
INSIDE = parse_mounts(b"21 20 0:31 / / rw - overlay o rw\n")


class Process:
    """Its root after each read of its mounts, the first one before any; None from when it has ended."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *roots: bytes | None) -> None:
        self._roots = list(roots)
        monkeypatch.setattr(mount_tables, "read_mounts", self._read)
        monkeypatch.setattr(mount_tables, "_root_path", lambda pid: self._roots[0])

    def _read(self, pid: int) -> list[Mount]:
        seen = OUTSIDE if self._roots[0] == b"/" else INSIDE
        if len(self._roots) > 1:
            self._roots.pop(0)
        return seen


def test_a_table_read_while_its_process_goes_into_a_chroot_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    Process(monkeypatch, b"/", b"/scratch/r")
    assert mount_tables.mounts_below_root(7) == (b"/scratch/r", INSIDE)


def test_the_table_of_a_process_that_ended_in_a_chroot_is_not_taken_for_the_container_s(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Process(monkeypatch, b"/scratch/r", None)
    assert mount_tables.mounts_below_root(7) is None


def test_a_process_that_changes_its_root_without_end_is_read_a_few_times(monkeypatch: pytest.MonkeyPatch) -> None:
    Process(monkeypatch, *[b"/", b"/scratch/r"] * 50)
    assert mount_tables.mounts_below_root(7) is not None
