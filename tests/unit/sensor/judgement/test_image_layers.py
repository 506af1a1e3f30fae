"""Lookup of files in an image's layers, and their hashes."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import hashlib
import os
import stat
import tracemalloc
from pathlib import Path

import pytest

from sensor.container.overlay import Layers, LayersUnreadable, parse_options
from sensor.files.handles import OpenFile, look_up, open_directory
from sensor.files.hashing import Hasher
from sensor.judgement import image_layers
from sensor.judgement.image_layers import (
    ImageDirectories,
    ImageIndex,
    has_executables,
    in_upper,
    open_in_image,
    open_in_upper,
)

OLD_NS = 1_600_000_000_000_000_000


@pytest.fixture
def layers(tmp_path: Path) -> Layers:
    for name in ("upper", "top", "base"):
        (tmp_path / name).mkdir()
    return Layers((bytes(tmp_path / "top"), bytes(tmp_path / "base")), bytes(tmp_path / "upper"))


def put(directory: Path, path: str, content: str = "content", mode: int = 0o755) -> Path:
    file = directory / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content)
    file.chmod(mode)
    return file


def shown(layers: Layers, path: bytes) -> str | None:
    file = open_in_image(layers, path)
    if file is None:
        return None
    content = read(file).decode()
    file.close()
    return content


def read(file: OpenFile) -> bytes:
    return Path(f"/proc/self/fd/{file.fd}").read_bytes()


class TestLookup:
    def test_the_topmost_layer_with_the_path_wins(self, layers: Layers, tmp_path: Path) -> None:
        put(tmp_path / "base", "bin/a", "old")
        put(tmp_path / "base", "bin/b", "below")
        put(tmp_path / "top", "bin/a", "new")
        assert (shown(layers, b"/bin/a"), shown(layers, b"/bin/b")) == ("new", "below")

    def test_the_container_s_own_layer_is_left_out(self, layers: Layers, tmp_path: Path) -> None:
        put(tmp_path / "upper", "bin/a")
        assert shown(layers, b"/bin/a") is None
        assert in_upper(layers, b"/bin/a")
        assert not in_upper(layers, b"/bin/b")

    @pytest.mark.skipif(os.geteuid() != 0, reason="making a whiteout needs root")
    @pytest.mark.parametrize("hidden", ["bin/a", "bin"])
    def test_a_file_that_the_image_deleted_is_not_in_the_image(
        self, layers: Layers, tmp_path: Path, hidden: str
    ) -> None:
        put(tmp_path / "base", "bin/a")
        (tmp_path / "top" / hidden).parent.mkdir(exist_ok=True)
        os.mknod(tmp_path / "top" / hidden, stat.S_IFCHR, 0)
        assert shown(layers, b"/bin/a") is None

    @pytest.mark.skipif(os.geteuid() != 0, reason="trusted extended attributes need root")
    def test_an_opaque_directory_hides_lower_layers(self, layers: Layers, tmp_path: Path) -> None:
        put(tmp_path / "base", "opt/app/run")
        (tmp_path / "top/opt/app").mkdir(parents=True)
        os.setxattr(tmp_path / "top/opt/app", "trusted.overlay.opaque", b"y")
        assert shown(layers, b"/opt/app/run") is None

    @pytest.mark.parametrize("kind", ["file", "symlink", "directory"])
    def test_another_file_in_the_path_hides_lower_layers(self, layers: Layers, tmp_path: Path, kind: str) -> None:
        put(tmp_path / "base", "bin/a")
        way = tmp_path / "top" / ("bin/a" if kind == "directory" else "bin")
        if kind == "file":
            way.write_text("no directory")
        elif kind == "symlink":
            way.symlink_to(tmp_path / "base/bin")
        else:
            way.mkdir(parents=True)
        assert shown(layers, b"/bin/a") is None

    @pytest.mark.parametrize("gone", ["top", "base"])
    def test_of_an_image_with_a_missing_layer_nothing_is_known(self, layers: Layers, tmp_path: Path, gone: str) -> None:
        """An image that reads as empty would make each touched file of it a new one, and have it killed."""
        put(tmp_path / ("base" if gone == "top" else "top"), "bin/b")
        (tmp_path / gone).rmdir()
        with pytest.raises(LayersUnreadable):
            open_in_image(layers, b"/bin/a")

    def test_of_an_image_whose_layers_are_not_all_known_nothing_is_known(self, layers: Layers, tmp_path: Path) -> None:
        put(tmp_path / "base", "bin/a")
        with pytest.raises(LayersUnreadable):
            open_in_image(dataclasses.replace(layers, is_complete=False), b"/bin/a")

    def test_a_layer_s_file_without_its_data_is_read_from_the_layer_below(self, layers: Layers, tmp_path: Path) -> None:
        """As containers/storage makes them of an image whose files it gives another owner (metacopy=on)."""
        put(tmp_path / "base", "bin/a", "x" * 8_192)
        put(tmp_path / "top", "bin/a", "")
        os.truncate(tmp_path / "top/bin/a", 8_192)
        assert shown(layers, b"/bin/a") == "x" * 8_192

    def test_a_layer_s_file_whose_data_is_elsewhere_says_nothing(self, layers: Layers, tmp_path: Path) -> None:
        put(tmp_path / "top", "bin/a", "")
        os.truncate(tmp_path / "top/bin/a", 8_192)
        with pytest.raises(LayersUnreadable):
            open_in_image(layers, b"/bin/a")

    def test_of_a_directory_that_was_looked_at_only_the_layers_that_show_it_are_searched(
        self, layers: Layers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """An image of many layers costs a new file no more than one of few."""
        put(tmp_path / "base", "bin/a")
        (tmp_path / "top/opt").mkdir(parents=True)
        known = ImageDirectories()
        assert open_in_image(layers, b"/bin/new", known) is None
        searched: list[bytes] = []

        opened = image_layers._open_layer

        def noted(layer: bytes) -> int:
            searched.append(layer)
            return opened(layer)

        monkeypatch.setattr(image_layers, "_open_layer", noted)
        file = open_in_image(layers, b"/bin/a", known)
        assert file is not None
        file.close()
        assert open_in_image(layers, b"/bin/b", known) is None
        assert searched == [bytes(tmp_path / "base")] * 2

    def test_long_paths_that_a_container_makes_up_are_not_kept(self, layers: Layers) -> None:
        known = ImageDirectories()
        tracemalloc.start()
        try:
            for number in range(200):
                assert open_in_image(layers, b"/%d%s/new" % (number, b"/directory" * 380), known) is None
            kept, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert kept < 200_000

    @pytest.mark.skipif(os.geteuid() != 0, reason="trusted extended attributes need root")
    @pytest.mark.parametrize("opaque", ["opt", "opt/app", "opt/app/bin"])
    def test_an_opaque_directory_anywhere_above_hides_lower_layers(
        self, layers: Layers, tmp_path: Path, opaque: str
    ) -> None:
        put(tmp_path / "base", "opt/app/bin/run")
        put(tmp_path / "top", f"{opaque}/own")
        os.setxattr(tmp_path / "top" / opaque, "trusted.overlay.opaque", b"y")
        assert shown(layers, b"/opt/app/bin/run") is None
        assert shown(layers, f"/{opaque}/own".encode()) is not None

    def test_an_unreadable_layer_is_not_taken_for_one_without_the_file(
        self, layers: Layers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Otherwise, on a failing disk or without a free descriptor, an image's own file could be blocked."""
        put(tmp_path / "base", "bin/a")

        def fails(*_: object, **__: object) -> int:
            raise OSError(errno.EIO, "Input/output error")

        monkeypatch.setattr(image_layers, "look_up", fails)
        with pytest.raises(OSError, match="Input/output error"):
            open_in_image(layers, b"/bin/a")


class TestOpening:
    def test_symlinks_do_not_lead_out_of_the_container(self, tmp_path: Path) -> None:
        put(tmp_path, "secret", "host's")
        root = tmp_path / "root"
        put(root, "secret", "container's")
        (root / "link").symlink_to("/secret")
        (root / "up").symlink_to("../secret")
        with open_directory(bytes(root)) as fd:
            for name in (b"link", b"up", b"/../../secret"):
                file = OpenFile.adopt(look_up(fd, name))
                assert read(file) == b"container's"
                file.close()

    def test_a_fifo_is_not_opened(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "fifo")
        before = set(Path("/proc/self/fd").iterdir())
        with open_directory(bytes(tmp_path)) as fd, pytest.raises(OSError, match="not a regular file"):
            OpenFile.adopt(look_up(fd, b"fifo"))
        assert set(Path("/proc/self/fd").iterdir()) == before

    def test_data_of_the_upper_layer_is_read_unless_it_is_elsewhere(self, layers: Layers, tmp_path: Path) -> None:
        path = put(tmp_path / "upper", "bin/a")
        file = open_in_upper(layers, b"/bin/a")
        assert file is not None
        file.close()
        os.setxattr(path, "user.overlay.metacopy", b"")
        assert open_in_upper(layers, b"/bin/a") is None


class TestOptions:
    def test_layers_come_from_the_mount_options(self) -> None:
        layers = parse_options(rb"rw,lowerdir=/l/A:/l/B,upperdir=/u,workdir=/w,uuid=on")
        assert layers == Layers((b"/l/A", b"/l/B"), b"/u")

    def test_escapes_of_kernel_and_overlay_are_decoded(self) -> None:
        layers = parse_options(rb"lowerdir=/a\040b:/c\134:d,upperdir=/u\054x")
        assert layers == Layers((b"/a b", b"/c:d"), b"/u,x")

    def test_one_option_per_layer_is_read_too(self) -> None:
        assert parse_options(b"lowerdir+=/a,lowerdir+=/b,upperdir=/u") == Layers((b"/a", b"/b"), b"/u")

    @pytest.mark.parametrize(
        ("options", "lowers"),
        [
            (b"lowerdir=12/fs:7/fs,upperdir=/c/snapshots/30/fs,workdir=/c/snapshots/30/work", b"/c/snapshots"),
            (b"lowerdir=l/A:/other/B,upperdir=/s/overlay/d4/diff", b"/s/overlay"),
        ],
    )
    def test_layers_with_relative_names_are_found_beside_the_upper_one(self, options: bytes, lowers: bytes) -> None:
        layers = parse_options(options)
        assert layers is not None
        assert layers.lowers[0].startswith(lowers + b"/")
        assert layers.lowers[1] in {lowers + b"/7/fs", b"/other/B"}

    @pytest.mark.parametrize("options", [b"lowerdir=l/A:l/B,upperdir=u/diff", b"lowerdir=/a", b"rw", b"upperdir=/u"])
    def test_relative_or_incomplete_options_are_none(self, options: bytes) -> None:
        assert parse_options(options) is None


class TestHashing:
    def digest(self, hasher: Hasher, path: Path) -> tuple[str | None, str]:
        file = OpenFile.from_link(str(path))
        try:
            return hasher.digest(file)
        finally:
            file.close()

    def test_the_digest_is_of_the_content(self, tmp_path: Path) -> None:
        assert self.digest(Hasher(), put(tmp_path, "a", "abc")) == (hashlib.sha256(b"abc").hexdigest(), "ok")

    def test_a_file_beyond_the_limit_is_too_large(self, tmp_path: Path) -> None:
        assert self.digest(Hasher(limit=2), put(tmp_path, "a", "abc")) == (None, "too_large")

    def test_a_changed_file_is_hashed_again(self, tmp_path: Path) -> None:
        hasher = Hasher()
        path = put(tmp_path, "a", "abc")
        first = self.digest(hasher, path)
        path.write_text("xyz")
        assert self.digest(hasher, path) != first

    def test_an_unchanged_file_is_hashed_once(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        hasher, path = Hasher(), put(tmp_path, "a", "abc")
        later = path.stat().st_ctime_ns + 1_000_000_000
        monkeypatch.setattr("sensor.files.hashing.time.time_ns", lambda: later)
        with contextlib.closing(OpenFile.from_link(str(path))) as file:
            first = hasher.digest_of_image(file)
            monkeypatch.setattr("sensor.files.hashing._sha256", None)
            assert hasher.digest_of_image(file) == first

    def test_a_file_changed_just_now_is_not_remembered(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        hasher, path = Hasher(), put(tmp_path, "a", "abc")
        changed = path.stat().st_ctime_ns
        monkeypatch.setattr("sensor.files.hashing.time.time_ns", lambda: changed + 1)
        with contextlib.closing(OpenFile.from_link(str(path))) as file:
            hasher.digest_of_image(file)
            monkeypatch.setattr("sensor.files.hashing._sha256", lambda *_: hashlib.sha256(b"again").hexdigest())
            assert hasher.digest_of_image(file) == hashlib.sha256(b"again").hexdigest()


class TestIndex:
    def copy_of(self, layers: Layers, content: str) -> bytes | None:
        digest = hashlib.sha256(content.encode()).hexdigest()
        return ImageIndex(layers).find_copy(len(content), digest, Hasher())

    def test_a_copy_names_its_original(self, layers: Layers, tmp_path: Path) -> None:
        put(tmp_path / "base", "usr/bin/tool", "tool")
        put(tmp_path / "base", "usr/bin/loot", "loot")
        assert self.copy_of(layers, "tool") == b"/usr/bin/tool"

    def test_other_content_of_the_same_size_is_not_a_copy(self, layers: Layers, tmp_path: Path) -> None:
        put(tmp_path / "base", "usr/bin/tool", "tool")
        assert self.copy_of(layers, "evil") is None

    def test_a_file_that_is_not_executable_is_not_an_original(self, layers: Layers, tmp_path: Path) -> None:
        put(tmp_path / "base", "etc/data", "data", mode=0o644)
        assert self.copy_of(layers, "data") is None

    def test_an_index_is_bounded(self, layers: Layers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(image_layers, "MAX_INDEXED", 0)
        put(tmp_path / "base", "usr/bin/tool", "tool")
        assert self.copy_of(layers, "tool") is None


class TestExecutables:
    """Whether an image's program may lie where something is mounted: such a mount is not blocked as a whole."""

    def test_a_program_below_the_path_is_found_in_any_layer(self, layers: Layers, tmp_path: Path) -> None:
        assert not has_executables(layers, b"/srv")
        put(tmp_path / "top", "srv/readme")
        (tmp_path / "top/srv/readme").chmod(0o644)
        assert not has_executables(layers, b"/srv")
        put(tmp_path / "base", "srv/a/b/tool")
        (tmp_path / "base/srv/a/b/tool").chmod(0o755)
        assert has_executables(layers, b"/srv")
        assert has_executables(layers, b"/srv/a/b/tool")
        assert not has_executables(layers, b"/srv/a/b/tool/x")

    def test_a_symlink_of_the_image_s_does_not_lead_onto_the_node(self, layers: Layers, tmp_path: Path) -> None:
        (tmp_path / "top/srv").symlink_to("/bin")
        assert not has_executables(layers, b"/srv")

    def test_where_the_layers_are_unknown_there_may_be_one(self, layers: Layers) -> None:
        assert has_executables(dataclasses.replace(layers, is_complete=False), b"/srv")
