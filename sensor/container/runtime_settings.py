"""Where runtimes keep their data by their own settings: containerd's, containers/storage's, CRI-O's and Docker's files.

Read from the node's own root, where the sensor may run in a container. A file that can't be read, or that is not valid,
counts as one that is not there.
"""

from __future__ import annotations

import contextlib
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from sensor.container.mounts import HOST_INIT, read_mounts
from sensor.container.node_tree import NodeTree
from sensor.container.runtime_places import RuntimePlace, state_of_socket
from sensor.wire import json_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sensor.container.mounts import Mount

MAX_IMPORTS: Final = 64
CONTAINERD: Final = Path("/etc/containerd/config.toml")
CONTAINERD_PARTS: Final = "/etc/containerd/conf.d/*.toml"
"""What settings import that name nothing else (containerd 2.2)."""
STORAGE: Final = (Path("/usr/share/containers/storage.conf"), Path("/etc/containers/storage.conf"))
CRIO: Final = (Path("/usr/share/crio/crio.conf"), Path("/etc/crio/crio.conf"))
CRIO_PARTS: Final = (Path("/usr/share/crio/crio.conf.d"), Path("/etc/crio/crio.conf.d"))
DOCKER: Final = (Path("/etc/docker/daemon.json"), Path("/var/snap/docker/current/config/daemon.json"))
STORAGE_DEFAULT: Final = "/var/lib/containers/storage"
MAX_USERS: Final = 1_000


class NodeFiles:
    """The settings of a node whose root directory is `root` here."""

    def __init__(self, root: Path = Path("/")) -> None:
        self._tree = NodeTree(root)

    def places(self) -> Iterator[RuntimePlace]:
        """Yield every place that a settings file names, those that only users' own files name last."""
        yield from self.containerd(CONTAINERD)
        yield from self.crio(CRIO, CRIO_PARTS)
        for path in DOCKER:
            yield from self.docker(path)
        for path in STORAGE:
            storage = _text(_table(self._toml(path), "storage"), "graphroot")
            if storage:
                yield RuntimePlace("podman", Path(storage), source=str(path))
        yield from self.rootless()

    def containerd(self, path: Path, options: Mapping[str, str] | None = None) -> Iterator[RuntimePlace]:
        """Yield a containerd by its config.toml and what that imports; `options` of a command line come first."""
        settings = self._imported(path)
        chosen = dict(options or {})
        state = chosen.get("state") or _text(settings, "state")
        socket = chosen.get("address") or _text(_table(settings, "grpc"), "address")
        if state or socket:
            address = Path(socket) if socket else Path(state) / "containerd.sock"
            directory = Path(state) if state else state_of_socket(address)
            yield RuntimePlace("containerd", directory, address, source=str(path))

    def crio(
        self, files: tuple[Path, ...], parts: tuple[Path, ...], options: Mapping[str, str] | None = None
    ) -> Iterator[RuntimePlace]:
        """Yield a CRI-O by its settings, later files over earlier ones, and `options` over all."""
        # Whatever they are called: OpenShift's are `00-default` and the like.
        names = [*files, *(part for directory in parts for part in self._tree.glob(f"{directory}/*"))]
        root, run, socket = self._storage_root(), "", ""
        for name in names:
            table = _table(self._toml(name), "crio")
            root, run = _text(table, "root") or root, _text(table, "runroot") or run
            socket = _text(_table(table, "api"), "listen") or socket
        chosen = dict(options or {})
        root, run, socket = chosen.get("root", root), chosen.get("runroot", run), chosen.get("listen", socket)
        if chosen or socket or run or root != self._storage_root():
            yield RuntimePlace(
                "cri-o",
                Path(root),
                Path(socket.removeprefix("unix://") or "/run/crio/crio.sock"),
                Path(run) if run else None,
                source=str(files[-1]),
            )

    def docker(self, path: Path, options: Mapping[str, str] | None = None) -> Iterator[RuntimePlace]:
        """Yield a Docker by its daemon.json; `options` of a command line come first."""
        settings: dict[str, Any] = {}
        with contextlib.suppress(OSError, msgspec.DecodeError):
            settings = json_bytes.decode(self._tree.read(path), dict[str, Any])
        chosen = dict(options or {})
        # `graph` was its name until Docker 23.
        data = chosen.get("data-root") or _text(settings, "data-root") or _text(settings, "graph")
        run = chosen.get("exec-root") or _text(settings, "exec-root")
        if data or run:
            directory = Path(data or "/var/lib/docker")
            yield RuntimePlace("docker", directory, runtime_directory=Path(run) if run else None, source=str(path))

    def rootless(self) -> Iterator[RuntimePlace]:
        """Yield the storages of users who may run podman or Docker without root.

        Not of those whose home may hang, or is mounted when somebody looks: overlay keeps no storage there either.
        """
        mounts = read_mounts(HOST_INIT)
        shared = _text(_table(self._toml(STORAGE[-1]), "storage"), "rootless_storage_path")
        for name, number, home in self._users():
            if _is_remote(home, mounts):
                continue
            settings = Path(home) / ".config/containers/storage.conf"
            own = _text(_table(self._toml(settings), "storage"), "graphroot") or shared
            for variable, value in (("HOME", home), ("USER", name), ("UID", number)):
                own = own.replace(f"${variable}", value).replace(f"${{{variable}}}", value)
            storage = Path(own) if own.startswith("/") else Path(home) / ".local/share/containers/storage"
            docker, run, source = Path(home) / ".local/share/docker", Path(f"/run/user/{number}/docker"), f"user {name}"
            for place in (
                RuntimePlace("podman", storage, source=source, is_of_user=True),
                RuntimePlace("docker", docker, runtime_directory=run, source=source, is_of_user=True),
            ):
                # Most users have none: no entry for each account of a large node.
                if self._tree.is_directory(place.directory):
                    yield place

    def _users(self) -> Iterator[tuple[str, str, str]]:
        with contextlib.suppress(OSError):
            for line in self._tree.read(Path("/etc/passwd")).decode(errors="replace").splitlines()[:MAX_USERS]:
                fields = line.split(":")
                if len(fields) == 7 and fields[5].startswith("/") and fields[5] != "/":
                    yield fields[0], fields[2], fields[5]

    def _storage_root(self) -> str:
        named = [_text(_table(self._toml(path), "storage"), "graphroot") for path in STORAGE]
        return next((root for root in reversed(named) if root), STORAGE_DEFAULT)

    def _imported(self, path: Path) -> dict[str, Any]:
        """Return containerd's settings: an imported file overrides the one that imports it (containerd, config.go)."""
        merged: dict[str, Any] = {}
        waiting, seen = [path], set[Path]()
        while waiting and len(seen) < MAX_IMPORTS:
            current = waiting.pop(0)
            if current in seen:
                continue
            seen.add(current)
            table = self._toml(current)
            # Since version 4 of the settings the socket is that of a plugin.
            server = _table(_table(table, "plugins"), "io.containerd.server.v1.grpc")
            merged = {**merged, **table, "grpc": {**_table(merged, "grpc"), **_table(table, "grpc"), **server}}
            imports = table.get("imports", [] if current != path else [CONTAINERD_PARTS])
            for pattern in imports if isinstance(imports, list) else []:
                name = str(pattern)
                waiting += self._tree.glob(name if name.startswith("/") else str(current.parent / name))
        return merged

    def _toml(self, path: Path) -> dict[str, Any]:
        with contextlib.suppress(OSError, tomllib.TOMLDecodeError, RecursionError):
            return tomllib.loads(self._tree.read(path).decode(errors="replace"))
        return {}


def _table(settings: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    table = settings.get(name)
    return table if isinstance(table, dict) else {}


def _text(settings: Mapping[str, Any], name: str) -> str:
    """Return a path of the settings; "" for what is not one."""
    value = settings.get(name)
    return value if isinstance(value, str) and value.removeprefix("unix://").startswith(("/", "$")) else ""


def node_root() -> Path:
    """Return where the node's root directory is here; where a security module hides it, this process's own."""
    root = Path(f"/proc/{HOST_INIT}/root")
    with contextlib.suppress(OSError):
        if (root / "etc").is_dir():
            return root
    return Path("/")


def _is_remote(directory: str, mounts: Sequence[Mount]) -> bool:
    """Return whether a directory of the node is on a server's filesystem, or on one that waits to be mounted."""
    path = directory.rstrip("/").encode() + b"/"
    # Whoever's root directory does not answer has other worries.
    above = [mount for mount in mounts if mount.point != b"/" and path.startswith(mount.point + b"/")]
    longest = max(above, key=lambda mount: len(mount.point), default=None)
    return longest is not None and (longest.is_remote or longest.fstype == b"autofs")
