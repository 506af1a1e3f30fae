"""Images that are mounted as volumes: their own files, what is written over them, and what only looks like one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sensor.container.podman import PodmanRuntime
from tests.system.capture.bed import BACKENDS, Collector, PodmanBox, Watch, app_files, collectors
from tests.system.capture.lines import SEEN_LATE, taken_away
from tests.system.podman import BUSYBOX

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sensor.wire import Event
    from tests.system.podman import Podman

pytestmark = [pytest.mark.container, pytest.mark.parametrize("backend", BACKENDS)]

OWN = "/model/busybox-tool sleep 0.05; /model/entry.sh; /work/busybox-tool sleep 0.05; /work/entry.sh"


@pytest.fixture(scope="module")
def watched() -> Iterator[dict[str, Collector]]:
    found = collectors([PodmanRuntime()])
    yield found
    for collector in found.values():
        collector.close()


@pytest.fixture(scope="module")
def image(podman: Podman, altered: Path) -> str:
    """Programs that no other image has."""
    return podman.image("model", {"/busybox-tool": altered, "/entry.sh": "#!/bin/sh\nexit 3\n"})


@pytest.fixture(scope="module")
def watch(podman: Podman, watched: dict[str, Collector], image: str, runner: Path, altered: Path) -> Watch:
    mounts = [
        f"--mount=type=image,source={image},destination=/model",
        f"--mount=type=image,source={image},destination=/work,rw=true",
    ]
    name = podman.run(podman.image("server", app_files(runner)), options=[*mounts, "--privileged"])
    return Watch(PodmanBox(podman, name), watched, altered)


def named(event: Event) -> tuple[str, str, str | None, bool | None]:
    """Kind, path, the volume's image, and whether the file is that image's own."""
    origin = event.process.file_origin
    image, is_own = (origin.image_name, origin.is_image_file) if origin is not None else (None, None)
    return event.kind, event.process.path, image, is_own


def test_the_image_s_own_files_are_of_that_kind_with_its_name_and_digest(
    watch: Watch, podman: Podman, image: str, backend: str
) -> None:
    events = watch.drift(f"{OWN}; touch /work/busybox-tool /work/entry.sh; {OWN}", backend)
    paths = ["/model/busybox-tool", "/model/entry.sh", "/work/busybox-tool", "/work/entry.sh"]
    assert {named(event) for event in events} == {("image_volume", path, image, True) for path in paths}
    digest = podman.command("image", "inspect", "--format={{.Digest}}", image).stdout.decode().strip()
    assert {event.process.file_origin.image_digest for event in events if event.process.file_origin} == {digest}


def test_what_is_written_over_them_or_beside_them_is_drift_of_the_volume(
    watch: Watch, image: str, backend: str
) -> None:
    over = "cp /bin/busybox /work/busybox-tool; /work/busybox-tool sleep 0.05"
    beside = "cp /work/busybox-tool /work/busybox-new; /work/busybox-new sleep 0.05"
    moved = "mv /work/entry.sh /work/other.sh; /work/other.sh"
    events = watch.drift(f"{over}; {beside}; {moved}", backend)
    assert [named(event) for event in events] == [
        ("volume", "/work/busybox-tool", image, False),
        ("volume", "/work/busybox-new", image, False),
        ("script", "/work/other.sh", image, False),
    ]


def test_a_mount_that_the_container_makes_is_foreign_however_it_looks(watch: Watch, backend: str) -> None:
    """Over the volume: an overlay with layers called as the image's are, and a bind mount."""
    own = f"/tmp/{backend}"
    files = f"mkdir {own}; mount -t tmpfs none {own}; mkdir {own}/l {own}/u {own}/w; cp /bin/busybox {own}/busybox-tool"
    layers = f"lowerdir={own}/l,upperdir={own}/u,workdir={own}/w"
    overlaid = f"cp /bin/busybox {own}/l/busybox-tool; mount -t overlay -o {layers} none /model"
    bound = f"mount -o bind {own} /model"
    run = f"/model/busybox-tool {SEEN_LATE}; {taken_away('/model')}"
    events = watch.drift(f"{files}; {overlaid} && {run}; {bound} && {run}; {taken_away(own)}", backend)
    assert [named(event) for event in events] == [("foreign_mount", "/model/busybox-tool", None, None)] * 2


def test_a_mount_in_the_place_of_the_volume_is_not_the_image_s(
    podman: Podman, watched: dict[str, Collector], image: str, runner: Path, altered: Path, backend: str
) -> None:
    """The volume itself is unmounted first, so that the runtime's record seems to be of the other mount."""
    mount = f"--mount=type=image,source={image},destination=/model"
    name = podman.run(podman.image(f"replaced-{backend}", app_files(runner)), options=[mount, "--privileged"])
    layers = "lowerdir=/own/l,upperdir=/own/u,workdir=/own/w"
    directories = "umount /model; mkdir /own; mount -t tmpfs none /own; mkdir /own/l /own/u /own/w"
    files = f"{directories}; cp /bin/busybox /own/l/busybox-tool"
    run = f"mount -t overlay -o {layers} none /model && /model/busybox-tool {SEEN_LATE}"
    events = Watch(PodmanBox(podman, name), watched, altered).drift(f"{files}; {run}", backend)
    assert [(event.kind, event.process.path) for event in events] == [("volume", "/model/busybox-tool")]
    assert all(event.process.file_origin is None or not event.process.file_origin.is_image_file for event in events)
    podman.rm(name)


def test_the_program_of_a_container_that_ends_at_once_is_known_too(
    podman: Podman, watched: dict[str, Collector], image: str, runner: Path, altered: Path, backend: str
) -> None:
    """The container ends before its exec is read."""
    mount = f"--mount=type=image,source={image},destination=/model"
    own = podman.image(f"short-{backend}", app_files(runner))
    watch = Watch(PodmanBox(podman, podman.run(own)), watched, altered)
    for _ in range(3 if backend == "ebpf" else 1):
        # The fallback has to find it alive, and its mounts, on a busy node too.
        command = ["true"] if backend == "ebpf" else ["sleep", "5"]
        name = podman.run(own, "/model/busybox-tool", *command, options=[mount], detach=False)
        events = watch.run("true", podman.id(name))[backend]
        assert [named(event) for event in events] == [("image_volume", "/model/busybox-tool", image, True)]


def test_a_bind_mount_of_the_same_files_is_a_volume(
    podman: Podman, watched: dict[str, Collector], tmp_path: Path, runner: Path, altered: Path, backend: str
) -> None:
    """A directory of the node's, called as the storage calls its layers."""
    layer = tmp_path / "overlay" / ("a" * 64) / "merged"
    layer.mkdir(parents=True)
    (layer / "busybox-tool").write_bytes(BUSYBOX.read_bytes() + b"x")
    (layer / "busybox-tool").chmod(0o755)
    name = podman.run(podman.image(f"bound-{backend}", app_files(runner)), volumes=[f"{layer}:/model"])
    events = Watch(PodmanBox(podman, name), watched, altered).drift("/model/busybox-tool sleep 0.05", backend)
    assert [named(event) for event in events] == [("volume", "/model/busybox-tool", None, None)]
    podman.rm(name)
