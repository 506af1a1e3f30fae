"""Which directories are an image's layers, where a mount names some that are gone."""

from __future__ import annotations

from pathlib import Path

import pytest

from sensor.container.overlay import Layers, parse_options, shows_more, usable_layers
from sensor.files.handles import file_status


class Storage:
    """A runtime's storage: an image of two layers, and a container's own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        for layer in ("1", "2"):
            self.make(f"snapshots/{layer}/fs/bin")
        self.upper = self.make("snapshots/9/fs")
        self.recorded = Layers((self.path("snapshots/2/fs"), self.path("snapshots/1/fs")), self.upper)

    def path(self, name: str) -> bytes:
        return bytes(self.directory / name)

    def make(self, name: str) -> bytes:
        (self.directory / name).mkdir(parents=True)
        return self.path(name)

    def of_mount(self, *lowers: bytes) -> Layers:
        return Layers(lowers, self.upper)


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return Storage(tmp_path)


def never() -> Layers | None:
    raise AssertionError("asked in vain")


def unknown() -> Layers | None:
    return None


def test_layers_that_the_mount_names_are_taken_without_asking(storage: Storage) -> None:
    assert usable_layers(storage.recorded, never) == storage.recorded


def test_of_a_mount_with_mapped_ids_the_runtime_s_record_tells_the_layers(storage: Storage) -> None:
    mounted = storage.of_mount(storage.path("mapped/0/l/A"), storage.path("mapped/0/l/B"))
    assert usable_layers(mounted, lambda: storage.recorded) == storage.recorded


def test_a_layer_on_a_mount_of_its_own_is_not_believed_as_it_may_be_gone_in_a_moment(storage: Storage) -> None:
    """`/dev/shm` is one; a runtime unmounts its own once the container's root is mounted."""
    assert usable_layers(storage.of_mount(b"/dev/shm"), lambda: storage.recorded) == storage.recorded


def test_an_empty_directory_that_such_a_mount_left_is_not_taken_for_a_layer(storage: Storage) -> None:
    mounted = storage.of_mount(storage.make("tmp/ovl-idmapped1/0"), storage.path("snapshots/1/fs"))
    assert usable_layers(mounted, lambda: storage.recorded) == storage.recorded


def test_a_layer_without_files_is_one_like_any_other(storage: Storage) -> None:
    mounted = storage.of_mount(storage.make("snapshots/3/fs"), storage.path("snapshots/1/fs"))
    assert usable_layers(mounted, never) == mounted


@pytest.mark.parametrize("data", [":/data/1::/data/2", ",datadir+=/data/1"])
def test_of_composefs_neither_the_data_nor_the_mount_point_of_a_layer_is_taken_for_a_layer(
    storage: Storage, data: str
) -> None:
    left = storage.make("snapshots/9/composefs-layers/1")
    lower = "lowerdir=" if data.startswith(":") else "lowerdir+="
    mounted = parse_options(f"{lower}{left.decode()}{data.replace(':', '::', 1)},upperdir=".encode() + storage.upper)
    assert mounted == Layers((left,), storage.upper, has_data_apart=True)
    layers = usable_layers(mounted, unknown)
    assert layers is not None
    assert not layers.is_complete


@pytest.mark.parametrize(
    ("missing", "since_ns", "is_more"), [("bin", 2**62, True), ("bin", 0, False), ("", 2**62, False)]
)
def test_layers_that_lack_what_the_mounted_root_has_are_not_all(
    storage: Storage, missing: str, since_ns: int, *, is_more: bool
) -> None:
    root = storage.make("root/bin").rsplit(b"/", 1)[0]
    storage.make("root/own")
    storage.make("snapshots/9/fs/own")
    lowers = (storage.make("snapshots/3/fs"),) if missing else storage.recorded.lowers
    dev = file_status(root.decode()).dev
    assert shows_more(root, dev, Layers(lowers, storage.upper), since_ns) is is_more
    assert not shows_more(root, dev + 1, Layers((), storage.upper), since_ns)


def test_a_path_that_each_process_sees_differently_is_not_believed(storage: Storage) -> None:
    mounted = storage.of_mount(b"/proc/self/cwd")
    assert usable_layers(mounted, lambda: storage.recorded) == storage.recorded


def test_without_a_record_the_layers_are_incomplete(storage: Storage) -> None:
    mounted = storage.of_mount(storage.path("mapped/0/l/A"))
    layers = usable_layers(mounted, unknown)
    assert layers == Layers(mounted.lowers, storage.upper, is_complete=False)


def test_if_one_of_the_recorded_layers_is_gone_too_the_layers_are_incomplete(storage: Storage) -> None:
    record = Layers((storage.path("snapshots/2/fs"), storage.path("snapshots/7/fs")), storage.upper)
    layers = usable_layers(storage.of_mount(storage.path("mapped/0/l/A")), lambda: record)
    assert layers is not None
    assert not layers.is_complete


def test_a_record_of_another_container_is_not_believed(storage: Storage) -> None:
    record = Layers(storage.recorded.lowers, storage.make("snapshots/10/fs"))
    layers = usable_layers(storage.of_mount(storage.path("mapped/0/l/A")), lambda: record)
    assert layers is not None
    assert not layers.is_complete


def test_a_container_that_is_not_mounted_any_more_has_the_layers_of_the_record(storage: Storage) -> None:
    assert usable_layers(None, lambda: storage.recorded) == storage.recorded
    assert usable_layers(None, unknown) is None


def test_a_layer_of_another_image_store_is_where_the_mount_has_its_link(storage: Storage, tmp_path: Path) -> None:
    link = "l/" + "K4SHK2ZSJK" * 2 + "TFJC5B"
    elsewhere = storage.make(f"shared/overlay/{link}/bin").rsplit(b"/", 1)[0]
    record = Layers((storage.path("snapshots/2/fs"), storage.path(f"snapshots/{link}")), storage.upper)
    mounted = storage.of_mount(b"/dev/shm", elsewhere)
    assert usable_layers(mounted, lambda: record) == Layers((record.lowers[0], elsewhere), storage.upper)
    temporary = storage.make(f"snapshots/mapped/0/{link}/bin").rsplit(b"/", 1)[0]
    for other in (temporary, elsewhere + b"X", b"/dev/shm"):
        layers = usable_layers(storage.of_mount(b"/dev/shm", other), lambda: record)
        assert layers is not None
        assert not layers.is_complete
