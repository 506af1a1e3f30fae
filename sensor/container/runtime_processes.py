"""Which runtimes run on this node, and where they keep their data: by the command lines of their own processes.

Only of the node's own processes: what runs in a container may call itself `conmon` too, and name any place.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sensor.container.base import ids_from_cgroup
from sensor.container.mounts import HOST_INIT
from sensor.container.runtime_places import RuntimePlace
from sensor.container.runtime_settings import CONTAINERD, CRIO, CRIO_PARTS, DOCKER, NodeFiles, node_root

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_NAMES: Final = {
    "containerd": {"config": "config", "c": "config", "state": "state", "address": "address", "a": "address"},
    "crio": {
        "config": "config",
        "c": "config",
        "config-dir": "config-dir",
        "d": "config-dir",
        "root": "root",
        "r": "root",
        "runroot": "runroot",
        "listen": "listen",
    },
    "dockerd": {"data-root": "data-root", "graph": "data-root", "g": "data-root", "exec-root": "exec-root"}
    | {"config-file": "config-file"},
    "podman": {"root": "root"},
    "conmon": {"b": "bundle", "bundle": "bundle"},
}
"""Options with a value by which the programs name their places, in both spellings."""
_SHIM: Final = "containerd-shim"


def places_of_processes(proc: Path = Path("/proc")) -> Iterator[RuntimePlace]:
    """Yield the places that the processes of this node's runtimes name, each once."""
    seen = set[RuntimePlace]()
    init = proc / str(HOST_INIT)
    for directory in proc.iterdir():
        if not directory.name.isdecimal():
            continue
        argv = _argv(directory)
        program = argv[0].rpartition("/")[2] if argv else ""
        if program not in _NAMES and not program.startswith(_SHIM):
            continue
        if not _is_of_node(directory, init):
            continue
        is_of_user = _owner(directory) != 0
        for place in _places(program, argv, directory):
            if place not in seen:
                seen.add(place)
                yield dataclasses.replace(place, is_of_user=is_of_user)


def _places(program: str, argv: Sequence[str], process: Path) -> Iterator[RuntimePlace]:
    source = f"process {process.name} ({program})"
    if program.startswith(_SHIM):
        yield from _of_shim(process, options_of(argv, {"address": "address"}).get("address", ""), source)
        return
    # What follows podman's command is the container's, whatever it calls its own options.
    options = options_of(argv, _NAMES[program], only_global=program == "podman")
    files = NodeFiles(node_root())
    found: Iterator[RuntimePlace] = iter(())
    if program == "containerd":
        found = files.containerd(Path(options.get("config", CONTAINERD)), options)
    elif program == "crio":
        parts = (Path(options["config-dir"]),) if "config-dir" in options else CRIO_PARTS
        found = files.crio((Path(options["config"]),) if "config" in options else CRIO, parts, options)
    elif program == "dockerd":
        found = files.docker(Path(options.get("config-file", DOCKER[0])), options)
    elif "root" in options:
        found = iter([RuntimePlace("podman", Path(options["root"]))])
    elif "bundle" in options:
        found = _of_bundle(Path(options["bundle"]))
    for place in found:
        yield RuntimePlace(place.kind, place.directory, place.socket, place.runtime_directory, source)


def _of_shim(process: Path, address: str, source: str) -> Iterator[RuntimePlace]:
    """By its working directory, STATE/io.containerd.runtime.v2.task/NAMESPACE/ID: a bundle of its containerd."""
    with contextlib.suppress(OSError):
        bundle = Path(os.readlink(process / "cwd"))  # noqa: PTH115 - may end in " (deleted)"
        if len(bundle.parents) > 2 and bundle.parents[1].name == "io.containerd.runtime.v2.task":
            state = bundle.parents[2]
            # containerd gives its shims an address with `.ttrpc` behind the socket's name.
            socket = Path(address.removesuffix(".ttrpc")) if address else state / "containerd.sock"
            yield RuntimePlace("containerd", state, socket, source=source)


def _of_bundle(bundle: Path) -> Iterator[RuntimePlace]:
    """podman's: ROOT/DRIVER-containers/ID/userdata. CRI-O's is below its run directory, and no storage."""
    if bundle.name == "userdata" and bundle.parents[1].name.endswith("-containers"):
        with contextlib.suppress(OSError):
            if any(bundle.parents[1].glob("*containers.json")):
                yield RuntimePlace("podman", bundle.parents[2])


def options_of(argv: Sequence[str], names: Mapping[str, str], *, only_global: bool = False) -> dict[str, str]:
    """Return the values of some options of a command line: `--name VALUE`, `--name=VALUE`, with one dash or two.

    `only_global`: up to the first argument that is no option and no value of these.
    """
    found: dict[str, str] = {}
    rest = iter(argv[1:])
    for argument in rest:
        if argument == "--":
            break
        if not argument.startswith("-"):
            if only_global:
                break
            continue
        name, equals, value = argument.lstrip("-").partition("=")
        if name in names:
            value = value if equals else next(rest, "")
            if value.removeprefix("unix://").startswith("/"):
                found.setdefault(names[name], value.removeprefix("unix://"))
    return found


def _argv(process: Path) -> list[str]:
    with contextlib.suppress(OSError):
        return (process / "cmdline").read_bytes().decode(errors="surrogateescape").rstrip("\0").split("\0")
    return []


def _is_of_node(process: Path, init: Path) -> bool:
    """Return whether a process is in no container: by its root directory, its pid namespace and its cgroup.

    A container can be given the node's root directory or its pids. The mount namespace tells less: engines of users,
    and services that systemd confines, have their own.
    """
    root = _root_of(init)
    if root is None or _root_of(process) != root or _namespace(process, "pid") != _namespace(init, "pid"):
        return False
    return _namespace(process, "mnt") == _namespace(init, "mnt") or not _is_in_container(process)


def _is_in_container(process: Path) -> bool:
    """Return whether the cgroup is a container's; conmon's own is named after the container that it watches."""
    with contextlib.suppress(OSError):
        names = (process / "cgroup").read_bytes().replace(b":", b"/").split(b"/")
        return bool(ids_from_cgroup(name for name in names if b"conmon" not in name))
    return True


def _namespace(process: Path, kind: str) -> str | None:
    with contextlib.suppress(OSError):
        return os.readlink(process / "ns" / kind)  # noqa: PTH115 - `pid:[4026531836]`, not a path
    return None


def _owner(process: Path) -> int | None:
    with contextlib.suppress(OSError):
        return process.stat().st_uid
    return None


def _root_of(process: Path) -> tuple[int, int] | None:
    """Return which directory is a process's root, as device and inode; None where that can't be seen."""
    with contextlib.suppress(OSError):
        root = (process / "root").stat()
        return root.st_dev, root.st_ino
    return None
