"""A root as podman mounts composefs, whose layers name files that lie elsewhere by their hashes, and are gone then.

What the image has can't be looked up then: nothing is judged by content.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from tests.system.capture.bed import BACKENDS, PodmanBox, Watch
from tests.system.podman import APPLETS, BUSYBOX, Podman

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.system.capture.bed import Collector

pytestmark = pytest.mark.container

BY_HASH: Final = "ab/cdef0123"
IMAGE_S: Final = "/bin/tool true; /opt/entry.sh; /bin/sh -c '(exec /bin/busybox true)'"
TOUCHED: Final = "/bin/tool"


def made(*command: str | Path) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    storage = tmp_path_factory.mktemp("storage")
    meta, own, data = storage.with_name("meta"), storage / "own", storage / "image/diff"
    layer = own / "composefs-layers/1"
    for directory in (layer, own / "diff", own / "work", own / "merged", (data / BY_HASH).parent):
        directory.mkdir(parents=True)
    for name in ("bin", "opt", "tmp", "proc", "dev", "sys", "etc"):
        (meta / name).mkdir(parents=True)
    (data / BY_HASH).write_bytes(BUSYBOX.read_bytes())
    for path in (meta / "bin/busybox", meta / "bin/tool"):
        path.touch(0o755)
        os.truncate(path, BUSYBOX.stat().st_size)
        os.setxattr(path, "trusted.overlay.metacopy", b"")
        os.setxattr(path, "trusted.overlay.redirect", f"/{BY_HASH}".encode())
    for applet in APPLETS:
        (meta / "bin" / applet).symlink_to("busybox")
    (meta / "opt/entry.sh").write_text("#!/bin/sh\nexit 0\n")
    (meta / "opt/entry.sh").chmod(0o755)
    assert made("mount", "--bind", meta, layer)
    options = f"lowerdir={layer}::{data},upperdir={own}/diff,workdir={own}/work,metacopy=on,redirect_dir=on"
    is_mounted = made("mount", "-t", "overlay", "overlay", "-o", options, own / "merged")
    subprocess.run(["umount", layer], check=True)
    if not is_mounted:
        pytest.skip("needs an overlay with layers of data alone (Linux 6.5)")
    yield own / "merged"
    subprocess.run(["umount", "--lazy", own / "merged"], check=True)


@pytest.fixture(scope="module")
def watch(podman: Podman, root: Path, seen_by: dict[str, Collector], altered: Path) -> Watch:
    name = podman.run(str(root), options=["--rootfs"])
    return Watch(PodmanBox(podman, name), seen_by, altered)


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_image_s_own_files_are_quiet(watch: Watch, backend: str) -> None:
    assert watch.drift(IMAGE_S, backend) == []


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_touched_one_is_not_certain_to_be_drift(watch: Watch, backend: str) -> None:
    event = watch.only(f"touch {TOUCHED}; {TOUCHED} sleep 0.05", backend)
    assert (event.process.path, event.identity) == (TOUCHED, "incomplete")


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_container_is_listed_as_one_whose_layers_cannot_be_read(
    watch: Watch, seen_by: dict[str, Collector], backend: str
) -> None:
    watch.drift("true", backend)
    gaps = seen_by[backend].capture.counters().gaps
    assert [gap.reason for gap in gaps if gap.container_id == watch.box.id] == ["layers_unreadable"]
