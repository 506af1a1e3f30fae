"""From a cgroup and a mount namespace to a container."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensor.container import identify, oci_config, root_filesystem
from sensor.container.base import Found, ids_from_cgroup
from sensor.container.identify import ContainerEvidence, Identifier, NotAContainer
from sensor.container.mounts import HOST_INIT, Mount, parse_mounts, topmost_mount
from sensor.container.overlay import Layers
from sensor.container.podman import PodmanRuntime
from sensor.wire import Container

ID = "a1" * 32
OTHER_ID = "b2" * 32
HOST, ROOT, OWN = os.makedev(8, 1), os.makedev(0, 40), os.makedev(0, 41)
MERGED = Path("/storage/overlay/x/merged")
OPTIONS = b"lowerdir=/usr,upperdir=/etc"
IN_CONTAINER = ContainerEvidence(
    namespace_id=1, pid=100, cgroup=(b"libpod-" + ID.encode(),), root=b"/", root_dev=ROOT, overlay_root=True
)


class FakeRuntime:
    """Knows one container, from call `after` on."""

    name = "fake"

    def __init__(self, *, after: int = 0, merged: Path | None = MERGED) -> None:
        self.queried = 0
        self._after = after
        self._found = Found(Container(id=ID, name="app", runtime="fake"), merged=merged)

    def find(self, container_id: str) -> Found | None:
        self.queried += 1
        return self._found if container_id == ID and self.queried > self._after else None

    def mounted_container_id(self, point: bytes) -> str | None:
        return ID if point == bytes(MERGED) else None


class KnowsAll(FakeRuntime):
    """Knows a container of every id."""

    def find(self, container_id: str) -> Found | None:
        return Found(Container(id=container_id, name="app", runtime="fake"), merged=MERGED)


def overlay_mount(dev: int = ROOT, point: bytes = bytes(MERGED)) -> Mount:
    return Mount(id=1, dev=dev, root=b"/", point=point, fstype=b"overlay", options=OPTIONS)


def plain_mount(point: bytes, dev: int, root: bytes) -> Mount:
    return Mount(id=2, dev=dev, root=root, point=point, fstype=b"ext4", options=b"")


@pytest.fixture
def mounts(monkeypatch: pytest.MonkeyPatch) -> dict[int, list[Mount]]:
    """Mount tables by pid; the host's shows the container's root filesystem."""
    tables = {HOST_INIT: [overlay_mount()]}
    monkeypatch.setattr(root_filesystem, "read_mounts", lambda pid: tables.get(pid, []))
    return tables


@pytest.mark.usefixtures("mounts")
class TestIdentifier:
    def identifier(self, runtime: FakeRuntime) -> Identifier:
        return Identifier([runtime], HOST, sleep=lambda _: None)

    def test_a_container_is_found_with_its_layers(self) -> None:
        resolved = self.identifier(FakeRuntime()).resolve(IN_CONTAINER)
        assert (resolved.container.name, resolved.complete) == ("app", True)
        assert (resolved.root_dev, resolved.layers) == (ROOT, Layers((b"/usr",), b"/etc"))

    @pytest.mark.parametrize(
        ("directory", "point", "below"),
        [
            (bytes(MERGED), b"/", b"/"),
            (b"/x/merged", b"/storage/overlay", b"/"),
            (b"/data/x/merged", b"/storage/overlay", b"/data"),
        ],
    )
    def test_without_an_id_in_the_cgroup_a_root_that_is_a_runtime_s_directory_is_that_container(
        self,
        mounts: dict[int, list[Mount]],
        monkeypatch: pytest.MonkeyPatch,
        directory: bytes,
        point: bytes,
        below: bytes,
    ) -> None:
        monkeypatch.setattr(root_filesystem, "mount_namespace", lambda pid: 7 if pid == 100 else None)
        monkeypatch.setattr(root_filesystem, "in_chroot", lambda _: False)
        seen = IN_CONTAINER._replace(
            cgroup=(b"user.slice",), overlay_root=False, root_dev=HOST, root_below=True, namespace_inum=7
        )
        with pytest.raises(NotAContainer) as gone:
            self.identifier(FakeRuntime()).resolve(seen)
        assert not gone.value.settled  # the next exec may show it
        mounts[HOST_INIT] = [plain_mount(b"/other", HOST, b"/elsewhere"), plain_mount(point, HOST, below)]
        mounts[100] = [plain_mount(b"/", HOST, directory)]
        resolved = self.identifier(FakeRuntime()).resolve(seen)
        assert (resolved.container.name, resolved.complete, resolved.root.is_overlay) == ("app", True, False)
        mounts[100] = [plain_mount(b"/", HOST, b"/srv/service")]
        with pytest.raises(NotAContainer) as other:
            self.identifier(FakeRuntime()).resolve(seen)
        assert other.value.settled
        # A runtime that is not known yet, or whose record can't be read now, may have it.
        for storage in (b"/srv/vfs/dir/77aa", b"/srv/btrfs/subvolumes/77aa"):
            mounts[HOST_INIT], mounts[100] = [plain_mount(b"/", HOST, b"/")], [plain_mount(b"/", HOST, storage)]
            with pytest.raises(NotAContainer) as unknown:
                self.identifier(FakeRuntime()).resolve(seen)
            assert not unknown.value.settled

    def test_what_the_runtime_mounted_is_noted_by_the_first_exec_that_shows_it(
        self, mounts: dict[int, list[Mount]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        (tmp_path / "config.json").write_text('{"mounts": [{"destination": "/data"}]}')
        runtime = FakeRuntime()
        found = runtime.find(IN_CONTAINER.cgroup[0].decode().rpartition("/")[2]) or Found(Container(id="a1" * 32))
        with_bundle = dataclasses.replace(found, bundle=tmp_path)
        monkeypatch.setattr(runtime, "find", lambda _: with_bundle)
        namespaces = {101: 7, 102: 8, 103: 7}
        monkeypatch.setattr(identify, "mount_namespace", namespaces.get)
        monkeypatch.setattr(oci_config, "read_mounts", lambda pid: [plain_mount(b"/data", pid, b"/")])
        identifier = self.identifier(runtime)
        for pid, root in ((100, b"/"), (101, b"/jail"), (102, b"/")):  # gone; in a chroot; given out again
            seen = IN_CONTAINER._replace(pid=pid, root=root, namespace_inum=7)
            assert identifier.resolve(seen).mounted == {}
        seen = IN_CONTAINER._replace(pid=103, namespace_inum=7)
        assert identifier.resolve(seen).mounted == {b"/data": 103}

    def test_a_namespace_is_looked_up_once(self) -> None:
        runtime = FakeRuntime()
        identifier = self.identifier(runtime)
        for _ in range(3):
            identifier.resolve(IN_CONTAINER)
        assert runtime.queried == 1

    def test_a_late_runtime_is_tried_again(self) -> None:
        runtime = FakeRuntime(after=2)
        assert self.identifier(runtime).resolve(IN_CONTAINER).complete

    def test_an_unknown_container_is_incomplete_with_its_id(self) -> None:
        sighting = IN_CONTAINER._replace(cgroup=(b"docker-" + OTHER_ID.encode() + b".scope",))
        resolved = self.identifier(FakeRuntime()).resolve(sighting)
        assert (resolved.container.id, resolved.complete, resolved.root_dev) == (OTHER_ID, False, ROOT)

    def test_an_unknown_container_is_looked_up_again_later(self, monkeypatch: pytest.MonkeyPatch) -> None:
        runtime = FakeRuntime(after=identify.TRIES)
        identifier = self.identifier(runtime)
        assert not identifier.resolve(IN_CONTAINER).complete
        assert not identifier.resolve(IN_CONTAINER).complete
        monkeypatch.setattr(identify, "FORGET_AFTER", -1.0)
        assert identifier.resolve(IN_CONTAINER).complete

    def test_a_root_that_the_container_made_is_not_its_image(self) -> None:
        identifier = self.identifier(FakeRuntime())
        identifier.resolve(IN_CONTAINER)
        own = IN_CONTAINER._replace(namespace_id=2, root=b"/mnt", root_dev=OWN)
        assert identifier.resolve(own).root_dev == ROOT

    def test_a_restarted_container_has_its_new_root(self, mounts: dict[int, list[Mount]]) -> None:
        identifier = self.identifier(FakeRuntime())
        identifier.resolve(IN_CONTAINER)
        mounts[HOST_INIT] = [overlay_mount(OWN)]
        again = IN_CONTAINER._replace(namespace_id=2, root_dev=OWN)
        assert identifier.resolve(again).root_dev == OWN

    def test_a_cgroup_that_a_container_made_below_its_own_does_not_hide_it(self) -> None:
        inner = IN_CONTAINER._replace(cgroup=(OTHER_ID.encode(), b"libpod-" + ID.encode()), root_dev=OWN)
        resolved = self.identifier(FakeRuntime()).resolve(inner)
        assert (resolved.container.id, resolved.root_dev) == (ID, ROOT)

    def test_a_nested_cgroup_named_after_another_container_does_not_hide_it(self) -> None:
        identifier = self.identifier(KnowsAll())
        for root_dev in (OWN, ROOT):
            named = IN_CONTAINER._replace(cgroup=(OTHER_ID.encode(), b"libpod-" + ID.encode()))
            resolved = identifier.resolve(named._replace(namespace_id=root_dev, root_dev=root_dev))
            assert resolved.container.id == ID

    def test_a_process_in_another_cgroup_is_identified_by_its_root(self) -> None:
        identifier = self.identifier(FakeRuntime())
        identifier.resolve(IN_CONTAINER)
        moved = IN_CONTAINER._replace(namespace_id=2, cgroup=(b"",))
        assert identifier.resolve(moved).container.id == ID

    def test_an_overlay_of_no_known_container_is_an_incomplete_one(self) -> None:
        stray = IN_CONTAINER._replace(cgroup=(b"job.scope", b""), root_dev=OWN)
        resolved = self.identifier(FakeRuntime()).resolve(stray)
        assert (resolved.container.id, resolved.complete) == ("job.scope", False)

    def test_a_service_of_the_host_is_never_a_container(self) -> None:
        service = IN_CONTAINER._replace(cgroup=(b"cron.service",), root_dev=HOST, overlay_root=False)
        with pytest.raises(NotAContainer) as caught:
            self.identifier(FakeRuntime()).resolve(service)
        assert caught.value.settled

    def test_a_runtime_before_pivot_root_is_not_identified_yet(self) -> None:
        hook = IN_CONTAINER._replace(root_dev=HOST, overlay_root=False)
        with pytest.raises(NotAContainer) as caught:
            self.identifier(FakeRuntime()).resolve(hook)
        assert not caught.value.settled

    def test_a_chroot_into_the_host_s_filesystem_stays_in_its_container(self) -> None:
        escape = IN_CONTAINER._replace(root=b"/host", root_dev=HOST, overlay_root=False)
        resolved = self.identifier(FakeRuntime()).resolve(escape)
        assert (resolved.container.id, resolved.root_dev) == (ID, ROOT)

    def test_a_container_without_overlay_is_marked_as_such(self, mounts: dict[int, list[Mount]]) -> None:
        mounts.clear()
        other = IN_CONTAINER._replace(root_dev=os.makedev(0, 50), overlay_root=False)
        resolved = self.identifier(FakeRuntime(merged=None)).resolve(other)
        assert (resolved.root.is_overlay, resolved.gap) == (False, "root_unknown")


class TestChroot:
    """No runtime knows the container, and its first exec runs in a chroot on a volume."""

    VOLUME = IN_CONTAINER._replace(root=b"/data", root_dev=OWN, overlay_root=False, namespace_inum=7, others=(9,))

    @pytest.fixture
    def identifier(self, mounts: dict[int, list[Mount]], monkeypatch: pytest.MonkeyPatch) -> Identifier:
        mounts.clear()
        mounts[9] = [overlay_mount(point=b"/"), Mount(2, OWN, b"/", b"/data", b"ext4", b"")]
        monkeypatch.setattr(root_filesystem, "mount_namespace", lambda _: 7)
        monkeypatch.setattr(root_filesystem, "in_chroot", lambda _: False)
        return Identifier([], HOST)

    def test_the_root_is_that_of_the_namespace(self, identifier: Identifier) -> None:
        assert identifier.resolve(self.VOLUME).root_dev == ROOT

    def test_an_overlay_of_its_own_is_not_taken_for_the_root(self, identifier: Identifier) -> None:
        own = self.VOLUME._replace(overlay_root=True)
        assert identifier.resolve(own).root_dev == ROOT

    def test_without_another_process_nothing_is_certain(
        self, identifier: Identifier, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(root_filesystem, "in_chroot", lambda _: True)
        assert not identifier.resolve(self.VOLUME).certain
        assert not identifier.resolve(self.VOLUME._replace(overlay_root=True)).certain
        assert identifier.resolve(IN_CONTAINER).root_dev == ROOT

    def test_a_namespace_is_retried_if_its_cgroup_names_no_container(self, identifier: Identifier) -> None:
        with pytest.raises(NotAContainer) as caught:
            identifier.resolve(self.VOLUME._replace(cgroup=(b"job",)))
        assert not caught.value.settled


class TestCgroupNames:
    @pytest.mark.parametrize("name", ["libpod-{}", "docker-{}.scope", "cri-containerd-{}.scope", "crio-{}.scope", "{}"])
    def test_every_runtime_s_cgroup_name_contains_the_id(self, name: str) -> None:
        assert ids_from_cgroup([b"inner", name.format(ID).encode(), b"kubepods.slice"]) == [ID]

    @given(st.lists(st.text("xyz./-", max_size=90).map(str.encode)))
    def test_other_cgroup_names_contain_no_id(self, names: list[bytes]) -> None:
        assert ids_from_cgroup(names) == []

    def test_a_longer_hex_string_is_not_an_id(self) -> None:
        assert ids_from_cgroup([ID.encode() + b"f"]) == []


class TestPodman:
    @pytest.fixture
    def storage(self, tmp_path: Path) -> Path:
        layer = tmp_path / "overlay/l1"
        layer.mkdir(parents=True)
        (layer / "lower").write_text("l/AAA:l/BBB")
        self.put(tmp_path, "overlay-images/images.json", [{"id": "i1", "digest": "sha256:77"}])
        self.put(tmp_path, "overlay-containers/containers.json", [self.entry(ID, "app")])
        return tmp_path

    @staticmethod
    def entry(identifier: str, name: str) -> dict[str, object]:
        metadata = json.dumps({"image-name": "nginx:1.25"})
        return {"id": identifier, "names": [name], "layer": "l1", "image": "i1", "metadata": metadata, "flags": {}}

    @staticmethod
    def put(root: Path, path: str, content: object) -> None:
        file = root / path
        file.parent.mkdir(exist_ok=True)
        new = file.with_suffix(".new")
        new.write_text(json.dumps(content))
        new.rename(file)

    def test_a_container_is_read_from_the_storage(self, storage: Path) -> None:
        found = PodmanRuntime(storage).find(ID)
        assert found is not None
        assert found.container == Container(
            id=ID,
            name="app",
            runtime="podman",
            image_name="docker.io/library/nginx:1.25",
            image_digest="sha256:77",
        )
        overlay = storage / "overlay"
        assert found.layers == Layers((bytes(overlay / "l/AAA"), bytes(overlay / "l/BBB")), bytes(overlay / "l1/diff"))
        assert found.merged == overlay / "l1/merged"

    def test_a_container_created_later_is_found(self, storage: Path) -> None:
        runtime = PodmanRuntime(storage)
        assert runtime.find(OTHER_ID) is None
        both = [self.entry(ID, "app"), self.entry(OTHER_ID, "late")]
        self.put(storage, "overlay-containers/containers.json", both)
        found = runtime.find(OTHER_ID)
        assert found is not None
        assert found.container.name == "late"

    def test_a_volatile_container_is_found_too(self, storage: Path) -> None:
        """Containers of `--rm`, and all of CRI-O's, are recorded in a separate file."""
        runtime = PodmanRuntime(storage)
        volatile = {**self.entry(OTHER_ID, "once"), "layer": "l2", "flags": {"Volatile": True}}
        self.put(storage, "overlay-containers/volatile-containers.json", [volatile])
        found = runtime.find(OTHER_ID)
        assert found is not None
        assert found.container.name == "once"
        assert runtime.mounted_container_id(bytes(storage / "overlay/l2/merged")) == OTHER_ID
        assert runtime.mounted_container_id(bytes(storage / "overlay/l1/merged")) == ID

    @pytest.mark.parametrize("broken", ["{", "[1]", '[{"names": []}]', '[{"more":' + "[" * 100_000])
    def test_a_broken_file_contains_no_container(self, storage: Path, broken: str) -> None:
        (storage / "overlay-containers/containers.json").write_text(broken)
        assert PodmanRuntime(storage).find(ID) is None

    @pytest.mark.parametrize("recorded", ["", "f" * 64, "f" * 12])
    def test_an_image_that_was_started_by_its_id_has_the_name_that_it_has_else(
        self, storage: Path, recorded: str
    ) -> None:
        entry = {**self.entry(ID, "app"), "metadata": json.dumps({"image-name": recorded})}
        self.put(storage, "overlay-containers/containers.json", [entry])
        images = [{"id": "i1", "names": ["<none>:<none>", "localhost/app:2"]}]
        self.put(storage, "overlay-images/images.json", images)
        found = PodmanRuntime(storage).find(ID)
        assert found is not None
        assert found.container.image_name == "localhost/app:2"

    def test_without_a_storage_there_is_no_container(self, tmp_path: Path) -> None:
        assert PodmanRuntime(tmp_path / "none").find(ID) is None

    @pytest.mark.parametrize("metadata", ["no json", '{"more":' + "[" * 100_000])
    def test_invalid_metadata_leaves_the_image_unknown(self, storage: Path, metadata: str) -> None:
        entry = {**self.entry(ID, "app"), "metadata": metadata}
        self.put(storage, "overlay-containers/containers.json", [entry])
        found = PodmanRuntime(storage).find(ID)
        assert found is not None
        assert (found.container.name, found.container.image_name) == ("app", None)


class TestMountTable:
    LINES = (
        b"73 48 0:40 / / rw,relatime - overlay overlay rw,lowerdir=/l,upperdir=/u\n"
        b"79 73 254:0 /vol\\040a /data rw master:1 shared:2 - ext4 /dev/vda rw\n"
        b"80 79 0:41 / /data rw - tmpfs tmpfs rw\n"
    )

    def test_fields_are_read_with_or_without_optional_ones(self) -> None:
        mounts = parse_mounts(self.LINES)
        assert mounts[0] == Mount(73, os.makedev(0, 40), b"/", b"/", b"overlay", b"rw,lowerdir=/l,upperdir=/u")
        assert (mounts[1].root, mounts[1].point, mounts[1].fstype) == (b"/vol a", b"/data", b"ext4")

    def test_the_last_mount_at_a_mount_point_is_the_visible_one(self) -> None:
        seen = topmost_mount(parse_mounts(self.LINES), b"/data")
        assert seen is not None
        assert seen.fstype == b"tmpfs"

    def test_a_mount_point_may_contain_line_separators(self) -> None:
        line = b"41 23 0:50 / /tmp/x rw - tmpfs a\rb\x0bc rw\n"
        assert [mount.point for mount in parse_mounts(line)] == [b"/tmp/x"]
