"""Where runtimes keep their data: by options, settings, command lines and mounts."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from sensor.container import discovery
from sensor.container.base import Found
from sensor.container.discovery import DiscoveredRuntimes, places_of_mounts
from sensor.container.mounts import Mount
from sensor.container.node_tree import NodeTree
from sensor.container.runtime_places import USUAL_PLACES, RuntimePlace, place_from_option, runtimes_at
from sensor.container.runtime_processes import options_of, places_of_processes
from sensor.container.runtime_settings import CONTAINERD, CRIO, CRIO_PARTS, DOCKER, NodeFiles
from sensor.wire import Container

ID = "ab" * 32


def write(root: Path, path: str, text: str) -> None:
    file = root / path.lstrip("/")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


@pytest.mark.parametrize(
    ("text", "kind", "directory", "socket"),
    [
        ("podman=/data/storage", "podman", "/data/storage", None),
        ("docker=/mnt/docker", "docker", "/mnt/docker", None),
        ("containerd=/run/x/containerd.sock", "containerd", "/run/x", "/run/x/containerd.sock"),
        ("containerd=/run/x.sock,/run/state", "containerd", "/run/state", "/run/x.sock"),
        ("cri-o=/run/c.sock,/data/crio", "cri-o", "/data/crio", "/run/c.sock"),
        ("cri-o=/run/c.sock", "cri-o", "/var/lib/containers/storage", "/run/c.sock"),
    ],
)
def test_an_option_names_a_runtime_s_place(text: str, kind: str, directory: str, socket: str | None) -> None:
    place = place_from_option(text)
    assert (place.kind, place.directory) == (kind, Path(directory))
    assert place.socket == (Path(socket) if socket else None)
    assert runtimes_at(place)


@pytest.mark.parametrize("text", ["", "podman", "podman=", "podman=storage", "lxc=/x", "docker=/x,run", "=/x"])
def test_an_option_that_names_no_place_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        place_from_option(text)


@pytest.mark.parametrize(
    ("socket", "state"),
    [
        ("/run/containerd/containerd.sock", "/run/containerd"),
        ("/run/k3s/containerd/containerd.sock", "/run/k3s/containerd"),
        ("/run/k0s/containerd.sock", "/run/k0s/containerd"),
        ("/var/snap/microk8s/common/run/containerd.sock", "/var/snap/microk8s/common/run/containerd"),
    ],
)
def test_the_distributions_places_are_known(socket: str, state: str) -> None:
    place = next(place for place in USUAL_PLACES if place.socket == Path(socket))
    (runtime,) = runtimes_at(place)
    point = f"{state}/io.containerd.runtime.v2.task/k8s.io/{ID}/rootfs".encode()
    assert (place.directory, runtime.mounted_container_id(point)) == (Path(state), ID)


def test_containerd_s_settings_are_read_with_what_they_import(tmp_path: Path) -> None:
    write(tmp_path, "/etc/containerd/config.toml", 'version = 2\nstate = "/run/first"\nimports = ["parts/*.toml"]\n')
    write(tmp_path, "/etc/containerd/parts/10.toml", 'state = "/run/second"\nimports = ["../config.toml"]\n')
    write(tmp_path, "/etc/containerd/parts/20.toml", '[grpc]\naddress = "/run/third.sock"\n')
    (place,) = NodeFiles(tmp_path).containerd(CONTAINERD)
    assert (place.directory, place.socket) == (Path("/run/second"), Path("/run/third.sock"))


def test_containerd_s_settings_of_version_4_have_the_socket_in_a_plugin(tmp_path: Path) -> None:
    server = "[plugins.'io.containerd.server.v1.grpc']\naddress = \"/run/{}.sock\"\n"
    write(tmp_path, "/etc/containerd/config.toml", "version = 4\nstate = '/run/k'\n" + server.format("first"))
    (place,) = NodeFiles(tmp_path).containerd(CONTAINERD)
    assert (place.directory, place.socket) == (Path("/run/k"), Path("/run/first.sock"))
    write(tmp_path, "/etc/containerd/conf.d/10.toml", "version = 4\n" + server.format("second"))
    (place,) = NodeFiles(tmp_path).containerd(CONTAINERD)
    assert (place.directory, place.socket) == (Path("/run/k"), Path("/run/second.sock"))


def test_parts_that_containerd_s_settings_do_not_import_do_not_count(tmp_path: Path) -> None:
    write(tmp_path, "/etc/containerd/config.toml", 'state = "/run/first"\nimports = []\n')
    write(tmp_path, "/etc/containerd/conf.d/10.toml", 'state = "/run/second"\n')
    (place,) = NodeFiles(tmp_path).containerd(CONTAINERD)
    assert place.directory == Path("/run/first")


def test_crio_s_parts_count_whatever_they_are_called(tmp_path: Path) -> None:
    write(tmp_path, "/etc/crio/crio.conf.d/00-default", '[crio]\nroot = "/data/crio"\n')
    write(tmp_path, "/etc/crio/crio.conf.d/10-api.conf.toml", '[crio.api]\nlisten = "/run/c.sock"\n')
    (place,) = NodeFiles(tmp_path).crio(CRIO, CRIO_PARTS)
    assert (place.directory, place.socket) == (Path("/data/crio"), Path("/run/c.sock"))


def test_storage_crio_and_docker_settings_name_their_places(tmp_path: Path) -> None:
    write(tmp_path, "/usr/share/containers/storage.conf", '[storage]\ngraphroot = "/usr-share"\n')
    write(tmp_path, "/etc/containers/storage.conf", '[storage]\ngraphroot = "/data/containers"\n')
    write(tmp_path, "/etc/crio/crio.conf.d/10-root.conf", '[crio]\nrunroot = "/run/first"\n')
    write(
        tmp_path,
        "/etc/crio/crio.conf.d/20-api.conf",
        '[crio]\nrunroot = "/run/c"\n[crio.api]\nlisten = "/run/c.sock"\n',
    )
    write(tmp_path, "/etc/docker/daemon.json", '{"data-root": "/mnt/docker", "exec-root": "/run/d"}')
    found = list(NodeFiles(tmp_path).places())
    assert RuntimePlace("podman", Path("/data/containers")) in found
    assert RuntimePlace("cri-o", Path("/data/containers"), Path("/run/c.sock"), Path("/run/c")) in found
    assert RuntimePlace("docker", Path("/mnt/docker"), runtime_directory=Path("/run/d")) in found


def test_a_user_s_own_storage_is_found(tmp_path: Path) -> None:
    passwd = [f"{name}:x:{number}:100::/home/{name}:/bin/sh" for number, name in enumerate(("ann", "bob", "cid"), 1000)]
    write(tmp_path, "/etc/passwd", "\n".join(["root:x:0:0:root:/root:/bin/sh", "broken", *passwd]))
    write(tmp_path, "/home/ann/.local/share/containers/storage/x", "")
    write(tmp_path, "/home/bob/.config/containers/storage.conf", '[storage]\ngraphroot = "$HOME/boxes/${UID}"\n')
    write(tmp_path, "/home/bob/boxes/1001/x", "")
    assert list(NodeFiles(tmp_path).places()) == [
        RuntimePlace("podman", Path("/home/ann/.local/share/containers/storage")),
        RuntimePlace("podman", Path("/home/bob/boxes/1001")),
    ]


@pytest.mark.parametrize("fstype", [b"nfs4", b"fuse.sshfs", b"autofs"])
def test_a_home_that_may_hang_is_not_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fstype: bytes) -> None:
    passwd = ["ann:x:1000:100::/net/ann:/bin/sh", "bob:x:1001:100::/network/bob:/bin/sh"]
    write(tmp_path, "/etc/passwd", "\n".join(passwd))
    for home in ("/net/ann", "/network/bob"):
        write(tmp_path, f"{home}/.local/share/containers/storage/x", "")
    mounts = [Mount(1, 1, b"/", b"/", b"nfs4", b""), Mount(2, 2, b"/", b"/net", fstype, b"")]
    monkeypatch.setattr("sensor.container.runtime_settings.read_mounts", lambda pid: mounts)
    assert [place.source for place in NodeFiles(tmp_path).places()] == ["user bob"]


@pytest.mark.parametrize(
    "text", ["", "[", "state = 5", 'grpc = "x"', 'imports = "x"', "\0", "imports = [5, '/proc/self/mem']"]
)
def test_settings_that_are_not_valid_count_as_none(tmp_path: Path, text: str) -> None:
    for path in (CONTAINERD, *CRIO, *DOCKER, Path("/etc/containers/storage.conf"), Path("/etc/passwd")):
        write(tmp_path, str(path), text)
    assert list(NodeFiles(tmp_path).places()) == []


def test_a_pipe_in_the_place_of_settings_stops_nobody(tmp_path: Path) -> None:
    (tmp_path / "etc/containerd").mkdir(parents=True)
    os.mkfifo(tmp_path / "etc/containerd/config.toml")
    assert list(NodeFiles(tmp_path).containerd(CONTAINERD)) == []


def test_settings_without_places_name_none(tmp_path: Path) -> None:
    assert list(NodeFiles(tmp_path).places()) == []
    assert list(NodeFiles(tmp_path).crio(CRIO, CRIO_PARTS)) == []


def test_settings_behind_symlinks_are_the_node_s(tmp_path: Path) -> None:
    """As a package manager or an administrator leaves them: where the sensor has a root of its own, theirs count."""
    root = tmp_path / "node"
    write(root, "/opt/k/config.toml", 'state = "/run/k"\nimports = ["/etc/containerd/parts/*.toml"]\n')
    write(root, "/opt/k/parts/1.toml", '[grpc]\naddress = "/run/k.sock"\n')
    write(root, "/opt/docker.json", '{"data-root": "/mnt/docker"}')
    write(root, "/etc/passwd", "ann:x:1000:100::/home/ann:/bin/sh")
    write(root, "/data/ann/.local/share/containers/storage/x", "")
    (root / "etc/containerd").mkdir()
    (root / "etc/containerd/config.toml").symlink_to("/opt/k/config.toml")
    (root / "etc/containerd/parts").symlink_to("/opt/k/parts")
    (root / "etc/docker").mkdir()
    (root / "etc/docker/daemon.json").symlink_to("../../../../opt/docker.json")
    (root / "home").symlink_to("/data")
    assert list(NodeFiles(root).places()) == [
        RuntimePlace("containerd", Path("/run/k"), Path("/run/k.sock")),
        RuntimePlace("docker", Path("/mnt/docker")),
        RuntimePlace("podman", Path("/home/ann/.local/share/containers/storage")),
    ]


def test_a_pattern_finds_what_a_shell_would_and_nothing_outside_of_the_node(tmp_path: Path) -> None:
    root = tmp_path / "node"
    for path in ("/etc/a/2.conf", "/etc/a/1.conf", "/etc/a/.hidden.conf", "/etc/b/3.conf", "/etc/c.conf"):
        write(root, path, "")
    write(tmp_path, "/etc/d/outside.conf", "")
    (root / "up").symlink_to("../..")
    assert NodeTree(root).glob("/etc/*/*.conf") == [Path(f"/etc/{name}.conf") for name in ("a/1", "a/2", "b/3")]
    assert NodeTree(root).glob("/up/etc/d/*.conf") == []
    assert NodeTree(root).glob("/none/*.conf") == []


class Node:
    """A /proc with the node's first process, and others that have its root or another."""

    def __init__(self, directory: Path) -> None:
        self.proc = directory / "proc"
        self._root, self._box = directory / "root", directory / "box"
        self._root.mkdir()
        self._box.mkdir()
        self._number = 0
        self.run("init")

    def run(self, *argv: str, cwd: str = "/", boxed: bool = False, uid: int = 0, **namespaces: str) -> Path:
        self._number += 1
        process = self.proc / str(self._number)
        process.mkdir(parents=True)
        if uid:
            os.chown(process, uid, uid)
        (process / "ns").mkdir()
        for kind in ("pid", "mnt"):
            (process / "ns" / kind).symlink_to(namespaces.get(kind, f"{kind}:[1]"))
        (process / "cgroup").write_text("0::/system.slice/some.service\n")
        (process / "cmdline").write_bytes(b"".join(each.encode() + b"\0" for each in argv))
        (process / "root").symlink_to(self._box if boxed else self._root)
        (process / "cwd").symlink_to(cwd)
        return process

    def places(self) -> set[RuntimePlace]:
        return set(places_of_processes(self.proc))


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


def test_runtimes_are_found_by_their_command_lines(node: Node, tmp_path: Path) -> None:
    node.run("/usr/bin/containerd", "--root", "/var/lib/k", "--state=/run/k0s/c", "-a", "/run/k0s/c.sock")
    node.run("dockerd", "--data-root", "/mnt/docker", "--exec-root=/run/d")
    node.run("/usr/bin/crio", "--root=/data/crio", "--listen", "unix:///run/c.sock")
    node.run("podman", "--root", "/data/boxes", "run", "app")
    assert node.places() == {
        RuntimePlace("containerd", Path("/run/k0s/c"), Path("/run/k0s/c.sock")),
        RuntimePlace("docker", Path("/mnt/docker"), runtime_directory=Path("/run/d")),
        RuntimePlace("cri-o", Path("/data/crio"), Path("/run/c.sock")),
        RuntimePlace("podman", Path("/data/boxes")),
    }


def test_settings_that_a_process_names_are_read_from_the_node_s_root(
    node: Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "other", "/opt/config.toml", 'state = "/run/other"\n')
    monkeypatch.setattr("sensor.container.runtime_processes.node_root", lambda: tmp_path / "other")
    node.run("containerd", "--config", "/opt/config.toml")
    assert [place.directory for place in node.places()] == [Path("/run/other")]


def test_a_container_s_own_shim_and_monitor_show_where_it_is_kept(node: Node, tmp_path: Path) -> None:
    node.run(
        *("/usr/bin/containerd-shim-runc-v2", "-namespace", "default", "-id", ID, "-address", "/run/x/containerd.sock"),
        cwd=f"/run/x/io.containerd.runtime.v2.task/default/{ID}",
    )
    storage = tmp_path / "storage"
    write(storage, "overlay-containers/volatile-containers.json", "[]")
    node.run("/usr/bin/conmon", "--api-version", "1", "-c", ID, "-b", f"{storage}/overlay-containers/{ID}/userdata")
    # CRI-O's, below its run directory: no storage.
    node.run("/usr/bin/conmon", "-b", f"/run/containers/storage/overlay-containers/{ID}/userdata", "-c", ID)
    assert node.places() == {
        RuntimePlace("containerd", Path("/run/x"), Path("/run/x/containerd.sock")),
        RuntimePlace("podman", storage),
    }


def test_a_process_in_a_container_that_calls_itself_a_runtime_is_not_believed(node: Node) -> None:
    node.run("podman", "--root", "/data/boxes", "run", "app", boxed=True)
    node.run("containerd", "--state", "/run/mine", boxed=True)
    assert node.places() == set()


def test_a_container_that_has_the_node_s_root_and_pids_is_not_believed(node: Node) -> None:
    """As a pod with `hostPID` that mounts the node's root directory and changes into it."""
    node.run("podman", "--root", "/data/a", "run", "app", pid="pid:[2]", mnt="mnt:[2]")
    process = node.run("podman", "--root", "/data/b", "run", "app", mnt="mnt:[2]")
    for cgroup in (
        f"0::/kubepods.slice/kubepods-pod1.slice/cri-containerd-{ID}.scope\n",
        f"4:cpu:/docker/{ID}/conmon\n0::/\n",
    ):
        (process / "cgroup").write_text(cgroup)
        assert node.places() == set()


@pytest.mark.skipif(os.geteuid() != 0, reason="makes a file of another user")
def test_a_user_s_engine_in_namespaces_of_its_own_is_found(node: Node, tmp_path: Path) -> None:
    write(tmp_path, "overlay-containers/volatile-containers.json", "[]")
    bundle = f"{tmp_path}/overlay-containers/{ID}/userdata"
    process = node.run("/usr/bin/conmon", "-c", ID, "-b", bundle, mnt="mnt:[2]", uid=1000)
    (process / "cgroup").write_text(f"0::/user.slice/user-1000.slice/user@1000.service/libpod-conmon-{ID}.scope\n")
    (place,) = node.places()
    assert (place, place.is_of_user) == (RuntimePlace("podman", tmp_path), True)


def test_processes_that_end_or_show_nothing_are_passed_over(node: Node) -> None:
    node.run()
    (node.proc / "999").mkdir()
    (node.proc / "self").mkdir()
    node.run("conmon", "-b")
    node.run("podman", "--root")
    assert node.places() == set()


def test_options_are_read_with_one_dash_or_two_up_to_the_end_of_options() -> None:
    names = {"root": "root", "r": "root"}
    assert options_of(["x", "-root", "/a"], names) == {"root": "/a"}
    assert options_of(["x", "--root=/a", "-r", "/b"], names) == {"root": "/a"}
    assert options_of(["x", "--", "--root=/a"], names) == {}
    assert options_of(["x", "--root", "relative"], names) == {}
    assert options_of(["x", "run", "app", "--root", "/a"], names, only_global=True) == {}
    assert options_of(["x", "--root", "/a", "run"], names, only_global=True) == {"root": "/a"}


def test_runtimes_are_found_by_the_overlays_that_they_mount() -> None:
    points = {
        f"/run/odd/io.containerd.runtime.v2.task/ns/{ID}/rootfs": ("containerd", "/run/odd"),
        "/data/boxes/overlay/layer/merged": ("podman", "/data/boxes"),
        "/mnt/docker/overlay2/layer/merged": ("docker", "/mnt/docker"),
        f"/mnt/other/rootfs/overlayfs/{ID}": ("docker", "/mnt/other"),
        "/home/me/overlay": None,
        "/merged": None,
        "/rootfs": None,
    }
    for point, expected in points.items():
        (*found,) = places_of_mounts([Mount(1, 5, b"/", point.encode(), b"overlay", b"")])
        assert [(place.kind, str(place.directory)) for place in found] == ([expected] if expected else [])
    assert list(places_of_mounts([Mount(1, 5, b"/", b"/data/overlay/layer/merged", b"ext4", b"")])) == []


class FakeRuntime:
    name = "fake"

    def find(self, container_id: str) -> Found | None:
        return Found(Container(id=container_id)) if container_id == ID else None

    def mounted_container_id(self, point: bytes) -> str | None:
        return None


def test_an_unknown_container_starts_one_search_and_what_is_found_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there, gone = RuntimePlace("podman", tmp_path), RuntimePlace("podman", tmp_path / "gone")
    searches: list[list[RuntimePlace]] = [[], [there, gone], [there, gone]]
    monkeypatch.setattr(discovery, "runtimes_at", lambda *_: [FakeRuntime()])
    monkeypatch.setattr(discovery, "SEARCH_SECONDS", 3_600.0)
    found = DiscoveredRuntimes((), lambda: searches.pop(0))
    assert found.find(ID) is None
    assert found.find(ID) is None
    assert len(searches) == 2  # the second did not search again so soon
    found._next_search = 0.0
    assert found.find(ID) is not None
    found._next_search = 0.0
    assert found.find("cd" * 32) is None
    assert len(found._runtimes) == 1


def test_a_place_that_is_known_already_is_not_read_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discovery, "runtimes_at", lambda *_: [FakeRuntime()])
    place = RuntimePlace("podman", tmp_path)
    found = DiscoveredRuntimes([place], lambda: [RuntimePlace("podman", tmp_path, source="process 7")])
    assert found.find(ID) is None


def test_what_users_name_takes_no_room_of_what_root_set_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tmp_path / "own"
    monkeypatch.setattr(discovery, "runtimes_at", lambda place, *_: [FakeRuntime()] if place.directory == own else [])
    for directory in (own, *(tmp_path / str(number) for number in range(2 * discovery.MAX_PLACES))):
        directory.mkdir()
    named = [RuntimePlace("podman", directory, is_of_user=True) for directory in tmp_path.iterdir() if directory != own]
    found = DiscoveredRuntimes((), lambda: [*named, RuntimePlace("podman", own)])
    assert found.find(ID) is not None
    assert len(found._known) == discovery.MAX_PLACES + 1
