"""Filesystems on which writes through a mapping show without page faults being traced."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from sensor.capture import mapped_writes
from sensor.capture.mapped_writes import LOOK_AGAIN_SECONDS, ShownMappings, shows_mapped_writes, spare_clusters
from sensor.container.mounts import Mount
from sensor.container.overlay import Layers

if TYPE_CHECKING:
    from pathlib import Path

GIB = 1 << 30


@pytest.mark.parametrize(
    ("fstype", "options", "free", "shows"),
    [
        pytest.param(b"ext4", b"rw,discard", 2 * GIB, True, id="ext4"),
        pytest.param(b"ext4", b"rw,nodelalloc", 2 * GIB, False, id="that allocates at once"),
        pytest.param(b"ext4", b"rw,data=journal", 2 * GIB, False, id="with its data in the journal"),
        pytest.param(b"ext4", b"rw", GIB // 2, False, id="nearly full"),
        pytest.param(b"xfs", b"rw", 2 * GIB, False, id="xfs"),
        pytest.param(None, b"", 2 * GIB, False, id="not in the node's table"),
    ],
)
def test_only_an_ext4_that_allocates_late_and_has_room_marks_the_pages_of_a_mapping(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fstype: bytes | None, options: bytes, free: int, shows: bool
) -> None:
    mapped_writes._marks_buffers.cache_clear()
    device = tmp_path.stat().st_dev
    mounts = [Mount(1, device + 1, b"/", b"/", b"ext4", b"rw")]
    if fstype is not None:
        mounts.append(Mount(2, device, b"/", b"/var", fstype, options))
    monkeypatch.setattr(mapped_writes, "read_mounts", lambda _: mounts)
    monkeypatch.setattr(os, "statvfs", lambda _: os.statvfs_result((4096, 4096, 0, free // 4096, 0, 0, 0, 0, 0, 255)))
    assert shows_mapped_writes(Layers((), bytes(tmp_path))) == shows


def test_a_layer_that_cannot_be_looked_at_shows_nothing() -> None:
    assert not shows_mapped_writes(None)
    assert not shows_mapped_writes(Layers((), b"/nowhere/upper"))


@pytest.mark.parametrize(("cpus", "clusters"), [(1, 16_384), (45, 32_400), (46, 33_856), (192, 589_824)])
def test_the_room_that_ext4_needs_grows_with_the_counters_of_its_cpus(cpus: int, clusters: int) -> None:
    assert spare_clusters(cpus) == clusters
    assert clusters > 4 * cpus * max(32, 2 * cpus)


def test_a_storm_of_execs_looks_at_a_layers_filesystem_fifty_times_a_second_at_most(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now, looked = 0.0, list[bytes]()
    mappings = ShownMappings(lambda: now)

    def shown(layers: Layers) -> bool:
        looked.append(layers.upper)
        return True

    monkeypatch.setattr(mapped_writes, "shows_mapped_writes", shown)
    for _ in range(100):
        assert mappings.are_shown(Layers((), b"/a"))
        assert mappings.are_shown(Layers((), b"/b"))
    assert looked == [b"/a", b"/b"]
    now += LOOK_AGAIN_SECONDS
    assert mappings.are_shown(Layers((), b"/a"))
    assert looked == [b"/a", b"/b", b"/a"]


def test_that_mappings_do_not_show_is_never_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [False, False, True]
    mappings = ShownMappings(lambda: 0.0)
    monkeypatch.setattr(mapped_writes, "shows_mapped_writes", lambda _: answers.pop(0))
    assert [mappings.are_shown(Layers((), b"/a")) for _ in range(4)] == [False, False, True, True]
    assert not mappings.are_shown(None)
