"""What dead containers and killed programs leave on a node, and marks that got lost, keep the fallback from nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sensor.capture.fanotify.capture import FanotifyCapture, open_fanotify
from sensor.capture.fanotify.fuse import fuse_in_use
from sensor.capture.fanotify.group import Scope
from sensor.container.podman import PodmanRuntime
from sensor.files.deadline import Worker
from tests.system.capture.bed import Collector, PodmanBox, Watch
from tests.system.capture.lines import SEEN_LATE, taken_away
from tests.system.fuse_mount import FuseMount

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.system.podman import Podman

pytestmark = pytest.mark.container

LAYERS = "lowerdir=/,upperdir=/scratch/u,workdir=/scratch/w"
OWN_OVERLAY = f"""
mkdir -p /scratch/u /scratch/w /scratch/r
cp /tmp/busybox-sentinel /scratch/u/busybox-evil
mount -t overlay o -o {LAYERS} /scratch/r
"""


@pytest.fixture(scope="module")
def fallback() -> FanotifyCapture:
    return open_fanotify(runtimes=[PodmanRuntime()])


@pytest.fixture(scope="module")
def watch(podman: Podman, fallback: FanotifyCapture, image: str, altered: Path) -> Iterator[Watch]:
    collector = Collector(fallback)
    name = podman.run(image, tmpfs=["/scratch:exec"], options=["--privileged"])
    yield Watch(PodmanBox(podman, name), {"fanotify": collector}, altered)
    collector.close()


def seen(watch: Watch, script: str) -> list[tuple[str, str]]:
    """Run a script; once its end was seen, the mounts that it made have been read too."""
    return [(event.kind, event.process.path) for event in watch.run(script, watch.box.id)["fanotify"]]


def test_an_overlay_of_a_container_s_own_is_watched_where_a_dead_one_left_a_fuse_filesystem(
    watch: Watch, tmp_path: Path
) -> None:
    """The program ends at once: only who watches the mount sees it."""
    if fuse_in_use(Worker()):
        pytest.skip("another FUSE filesystem is served on this machine")
    with FuseMount(tmp_path) as left:
        assert fuse_in_use(Worker())
        left.kill_server()
        assert seen(watch, OWN_OVERLAY) == []
        script = f"chroot /scratch/r /busybox-evil true; {taken_away('/scratch/r')}"
        assert seen(watch, script) == [("foreign_mount", "/scratch/r/busybox-evil")]


def test_beside_one_that_is_served_it_is_seen_once_while_its_process_lives(watch: Watch, tmp_path: Path) -> None:
    with FuseMount(tmp_path):
        script = f"{OWN_OVERLAY} chroot /scratch/r /busybox-evil {SEEN_LATE}; {taken_away('/scratch/r')}"
        assert seen(watch, script) == [("foreign_mount", "/scratch/r/busybox-evil")]


def test_a_program_on_a_mount_whose_mark_is_gone_is_seen_while_its_process_lives(
    watch: Watch, fallback: FanotifyCapture
) -> None:
    """As of a filesystem that was unmounted and mounted again with the same numbers."""
    assert seen(watch, "mkdir -p /mnt; mount -t tmpfs x /mnt; cp /bin/busybox /mnt/busybox-t") == []
    assert seen(watch, "/mnt/busybox-t true") == [("foreign_mount", "/mnt/busybox-t")]
    fallback._group.flush(Scope.FILESYSTEM)
    script = f"/mnt/busybox-t {SEEN_LATE}; {taken_away('/mnt')}"
    assert seen(watch, script) == [("foreign_mount", "/mnt/busybox-t")]
