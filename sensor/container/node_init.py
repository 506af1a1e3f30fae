"""The init programs of this node, which its runtimes mount into containers (`podman run --init`, `docker run --init`).

Anybody who may choose a pod's mounts can mount any file where a runtime mounts its init. So it is known by where it
comes from: a program that the node itself has as a runtime's init.
"""

from __future__ import annotations

import contextlib
import stat
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from sensor.container.mounts import HOST_INIT
from sensor.container.node_tree import NodeTree
from sensor.files.handles import OpenFile, file_status, look_up, open_directory
from sensor.wire import json_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator

INIT_PROGRAMS: Final = frozenset(
    f"{directory}/{name}".encode()
    for directory in ("/usr/bin", "/usr/local/bin", "/usr/libexec/podman", "/usr/local/libexec/podman")
    for name in ("catatonit", "docker-init", "tini", "tini-static", "dumb-init")
) | {b"/usr/libexec/catatonit/catatonit", b"/usr/lib/podman/catatonit", b"/usr/libexec/docker/docker-init"}
"""Where podman's and Docker's packages have it."""
CONTAINERS_CONF: Final = ("/usr/share/containers/containers.conf", "/etc/containers/containers.conf")
DOCKER_CONF: Final = "/etc/docker/daemon.json"
ROOTS: Final = (Path(f"/proc/{HOST_INIT}/root"), Path("/"))
"""The node's root directory; where a security module hides the first, the sensor's own is it, or has no such file."""


class _DockerConf(msgspec.Struct):
    init_path: str = msgspec.field(name="init-path", default="")


def is_node_init(source: bytes, *, ino: int, size: int, ctime_ns: int) -> bool:
    """Return whether a mount's `source` is an init program of this node, and this very file.

    Only one that nobody but root can write to. False where that can't be looked at.
    """
    if not is_init_program(source):
        return False
    with contextlib.suppress(OSError), open_directory(bytes(_node_root())) as root:
        handle = look_up(root, source)
        status = file_status(handle)
        file = OpenFile.adopt(handle)
        file.close()
        is_same = (file.ino, file.size, file.ctime_ns) == (ino, size, ctime_ns)
        return is_same and not status.mode & (stat.S_IWGRP | stat.S_IWOTH)
    return False


def is_init_program(source: bytes) -> bool:
    """Return whether this path of the node is one of a runtime's init."""
    return source in INIT_PROGRAMS or source in _configured()


def _configured() -> frozenset[bytes]:
    """Return the init programs that an administrator chose for podman or Docker."""
    return frozenset(path.encode() for path in (*_of_podman(), *_of_docker()) if path)


def _of_podman() -> Iterator[str]:
    node = NodeTree(_node_root())
    for path in (*map(Path, CONTAINERS_CONF), *node.glob("/etc/containers/containers.conf.d/*.conf")):
        with contextlib.suppress(OSError, tomllib.TOMLDecodeError, RecursionError):
            table = tomllib.loads(node.read(path).decode(errors="replace")).get("containers", {})
            yield str(table.get("init_path", ""))


def _of_docker() -> Iterator[str]:
    with contextlib.suppress(OSError, msgspec.DecodeError):
        yield json_bytes.decode(NodeTree(_node_root()).read(DOCKER_CONF), _DockerConf).init_path


def _node_root() -> Path:
    for root in ROOTS[:-1]:
        with contextlib.suppress(OSError), open_directory(bytes(root)):
            return root
    return ROOTS[-1]
