"""Which image a mount of the runtime's shows, by the records of containers/storage and containerd."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest

from sensor.container import containerd
from sensor.container.base import RuntimeMount, VolumeImage
from sensor.container.containerd import IMAGE_VOLUMES, ContainerdRuntime
from sensor.container.cri import Cri, CriContainer, CriError
from sensor.container.mounts import Mount
from sensor.container.overlay import Layers
from sensor.container.podman import PodmanRuntime
from sensor.files.hashing import Hasher
from sensor.judgement.decide import Content
from sensor.judgement.image_layers import ImageReader

TOP, OLDER, CONTAINER = "a" * 64, "b" * 64, "c" * 64
DIGEST = "sha256:" + "d" * 64
ID = "e" * 64


@pytest.fixture
def storage(tmp_path: Path) -> PodmanRuntime:
    images = [
        {"id": "1", "digest": DIGEST, "layer": TOP, "names": ["index.docker.io/team/model:3"]},
        {"id": "2", "layer": OLDER, "mapped-layers": ["f" * 64]},
    ]
    (tmp_path / "overlay-images").mkdir()
    (tmp_path / "overlay-images/images.json").write_text(json.dumps(images))
    (tmp_path / "overlay" / TOP).mkdir(parents=True)
    (tmp_path / "overlay" / TOP / "lower").write_text("l/TWO")
    return PodmanRuntime(tmp_path)


def overlaid(root: Path, layer: str, below: str = "") -> RuntimeMount:
    """The mount that podman makes: an overlay on the image's own."""
    return RuntimeMount("/model", "/other", "overlay", [f"lowerdir={root}/overlay/{layer}/merged{below}:/own/lower"])


@pytest.mark.parametrize("below", ["", "/weights"])
def test_podman_s_overlay_and_cri_o_s_bind_mount_show_the_image_of_the_layer(
    storage: PodmanRuntime, tmp_path: Path, below: str
) -> None:
    layers = Layers((bytes(tmp_path / "overlay" / TOP / "diff"), bytes(tmp_path / "overlay/l/TWO")), b"")
    image = VolumeImage("docker.io/team/model:3", DIGEST, layers, below.encode())
    bound = RuntimeMount("/model", f"{tmp_path}/overlay/{TOP}/merged{below}", "bind", ["ro"])
    assert storage.volume_image(overlaid(tmp_path, TOP, below)) == image
    assert storage.volume_image(bound) == image


@pytest.mark.parametrize("layer", [TOP, OLDER])
def test_layers_of_composefs_do_not_tell_what_the_image_has(storage: PodmanRuntime, tmp_path: Path, layer: str) -> None:
    """Their directories have the files by their hashes."""
    overlay = tmp_path / "overlay"
    (overlay / "l").mkdir()
    (overlay / "l/TWO").symlink_to(f"../{OLDER}/diff")
    for each in (TOP, OLDER):
        (overlay / each / "diff").mkdir(parents=True)
    before = storage.volume_image(overlaid(tmp_path, TOP))
    (overlay / layer / "composefs-data").mkdir()
    after = storage.volume_image(overlaid(tmp_path, TOP))
    found = [image.layers.is_complete for image in (before, after) if image is not None and image.layers is not None]
    assert found == [True, False]


def test_an_image_without_a_name_is_one_too_and_so_is_its_layer_with_mapped_ids(
    storage: PodmanRuntime, tmp_path: Path
) -> None:
    for layer in (OLDER, "f" * 64):
        image = storage.volume_image(overlaid(tmp_path, layer))
        assert image is not None
        assert (image.name, image.digest) == (None, None)


@pytest.mark.parametrize(
    "source",
    [
        *("", "/", "/srv/overlay/{TOP}/merged", "{root}/overlay", "{root}/overlay/{TOP}", "{root}/overlay/{TOP}/diff"),
        *("{root}/overlay/{CONTAINER}/merged", "{root}/overlay/{TOP}/merged/../../{CONTAINER}/merged"),
    ],
)
def test_what_shows_no_image_s_layer_is_no_image(storage: PodmanRuntime, tmp_path: Path, source: str) -> None:
    path = source.format(root=tmp_path, TOP=TOP, CONTAINER=CONTAINER)
    assert storage.volume_image(RuntimeMount("/model", path, "bind")) is None
    assert storage.volume_image(RuntimeMount("/model", "/x", "overlay", [f"lowerdir={path}"])) is None


class FakeCri(Cri):
    """Knows one container, which mounts an image; or does not answer."""

    def __init__(self, reference: str | None) -> None:
        super().__init__(Path("/none"))
        self._reference = reference

    def container(self, container_id: str) -> CriContainer | None:
        if self._reference is None:
            raise CriError("no answer")
        return CriContainer("app", "app:1", "", "", {}, {"/model": self._reference})


@pytest.mark.parametrize(
    ("reference", "name"),
    [("team/model:3", "docker.io/team/model:3"), (f"ghcr.io/m@{DIGEST}", "ghcr.io/m"), (DIGEST, None), (None, None)],
)
def test_containerd_s_directory_of_image_volumes_names_the_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reference: str | None, name: str | None
) -> None:
    base = tmp_path / IMAGE_VOLUMES / "pod" / DIGEST[7:]
    mounted = Mount(
        1, 7, b"/", bytes(base), b"overlay", b"rw,lowerdir=/s/2/fs:/s/1/fs,upperdir=/s/3/fs,workdir=/s/3/work"
    )
    monkeypatch.setattr(containerd, "read_mounts", lambda _: [mounted])
    runtime = ContainerdRuntime(tmp_path / "containerd.sock", FakeCri(reference))
    (tmp_path / "io.containerd.runtime.v2.task/k8s.io" / ID).mkdir(parents=True)

    found = runtime._volume_image(ID, RuntimeMount("/model", f"{base}/weights", "bind"))

    assert found == VolumeImage(name, DIGEST, Layers((b"/s/2/fs", b"/s/1/fs"), b"/s/3/fs"), b"/weights")
    for source in (tmp_path, base.parent, base / "../../other/x", Path("/srv/image-volumes/pod/x")):
        assert runtime._volume_image(ID, RuntimeMount("/model", str(source), "bind")) is None


class TestOwnFile:
    """The image's layers on the node decide, not what the container sees."""

    @pytest.fixture
    def volume(self, tmp_path: Path) -> VolumeImage:
        (tmp_path / "layer/weights").mkdir(parents=True)
        (tmp_path / "layer/weights/tool").write_text("tool")
        return VolumeImage("m:1", None, Layers((bytes(tmp_path / "layer"),), b""), b"/weights")

    def is_own(self, volume: VolumeImage, path: bytes, content: Content, ctime_ns: int = 0) -> bool:
        return ImageReader(Hasher(1_000_000, 16)).is_own_file(volume, path, content, ctime_ns)

    def test_by_its_change_time_where_it_could_not_be_hashed(self, volume: VolumeImage, tmp_path: Path) -> None:
        ctime_ns = os.stat(tmp_path / "layer/weights/tool").st_ctime_ns  # noqa: PTH116 - as the kernel has it
        assert self.is_own(volume, b"/tool", Content(4, None, "gone"), ctime_ns)
        assert not self.is_own(volume, b"/tool", Content(5, None, "gone"), ctime_ns)
        assert not self.is_own(volume, b"/tool", Content(4, None, "gone"), ctime_ns + 1)

    def test_by_its_content_at_the_same_path_alone(self, volume: VolumeImage) -> None:
        tool = Content(4, hashlib.sha256(b"tool").hexdigest(), "ok")
        assert self.is_own(volume, b"/tool", tool)
        assert not self.is_own(volume, b"/other", tool)
        assert not self.is_own(volume, b"/tool", Content(4, "b" * 64, "ok"))

    def test_never_where_the_image_s_layers_can_t_be_had(self, volume: VolumeImage) -> None:
        tool = Content(4, hashlib.sha256(b"tool").hexdigest(), "ok")
        assert not self.is_own(VolumeImage("m:1", None), b"/tool", tool)
        gone = VolumeImage("m:1", None, Layers((b"/none",), b""))
        assert not self.is_own(gone, b"/tool", tool)
