"""Real podman containers for tests: images from a directory with busybox, no network, all removed afterwards."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

BUSYBOX = Path("/bin/busybox")
SLOWNESS = float(os.environ.get("DRIFTWATCH_TEST_SLOWNESS", "1"))
"""How many times longer than usual to wait for things: an emulated machine is slow."""
APPLETS = [
    "sh",
    "ls",
    "cat",
    "cp",
    "chmod",
    "touch",
    "sleep",
    "true",
    "ln",
    "mv",
    "rm",
    "mkdir",
    "mount",
    "umount",
    "chroot",
    "unshare",
    "echo",
    "dd",
    "env",
    "id",
    "printf",
    "seq",
]
CONTAINERS_CONF = """\
[containers]
default_ulimits=["nofile=4096:16384","nproc=16384:16384"]
[engine]
events_logger="file"
"""
WITHOUT_SYSTEMD = """\
cgroup_manager="cgroupfs"
runtime="runc"
"""
"""What podman needs where cgroups v1 and v2 are mounted side by side; elsewhere its own choice is tested."""

_instances = itertools.count()


def has_systemd() -> bool:
    """Whether this machine's cgroups are systemd's to make, as on a real node."""
    return Path("/run/systemd/system").is_dir()


def unusable() -> str:
    """Why podman can't be used here, or "" where it can."""
    if os.geteuid() != 0:
        return "podman tests need root"
    missing = [program for program in ("podman", "runc") if shutil.which(program) is None]
    if missing:
        return f"podman tests need {' and '.join(missing)}"
    return "" if BUSYBOX.exists() else "podman tests need busybox-static"


class Podman:
    """Makes images and containers of its own names; `close` (or leaving the `with`) removes them.

    `directory` is an empty scratch directory. Side by side with other instances none meets another.
    """

    def __init__(self, directory: Path, storage: Sequence[str] = ()) -> None:
        """`storage` are podman's global options for another storage than the node's."""
        self._storage = storage
        self.prefix = f"dw{os.getpid()}-{next(_instances)}"
        self.directory = directory
        self._numbers = itertools.count()
        self._images: list[str] = []
        self._containers: list[str] = []
        configuration = directory / "containers.conf"
        configuration.write_text(CONTAINERS_CONF + ("" if has_systemd() else WITHOUT_SYSTEMD))
        self.environment = {**os.environ, "CONTAINERS_CONF": str(configuration)}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def command(self, *arguments: str, check: bool = True, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        """Run podman with these arguments; with `check`, a failure raises with its standard error."""
        done = subprocess.run(
            ["podman", *self._storage, *arguments],
            env=self.environment,
            input=stdin,
            capture_output=True,
            timeout=60 * SLOWNESS,
            check=False,
        )
        if check and done.returncode != 0:
            raise AssertionError(f"podman {' '.join(arguments)}: {done.stderr.decode(errors='replace')}")
        return done

    def background(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start podman with these arguments; the caller waits for it."""
        return subprocess.Popen(["podman", *self._storage, *arguments], env=self.environment)

    def image(
        self,
        name: str,
        files: Mapping[str, bytes | str | Path] | None = None,
        *,
        command: Sequence[str] = (),
        declared: Sequence[str] = (),
    ) -> str:
        """Import an image of busybox with its applets and `files` (path from / → content or a file to copy).

        A str that starts with "-> " makes a symlink. Every file is executable. `command` is what
        the image runs where nothing else is asked for, `declared` its volumes. Returns the full
        reference, `localhost/PREFIX/NAME`, with `:latest` where the name has no tag.
        """
        root = self.directory / f"image{next(self._numbers)}"
        for directory in ("bin", "tmp", "proc", "dev", "sys", "etc"):
            (root / directory).mkdir(parents=True)
        shutil.copy2(BUSYBOX, root / "bin/busybox")
        for applet in APPLETS:
            (root / "bin" / applet).symlink_to("busybox")
        for path, content in (files or {}).items():
            _put(root / path.lstrip("/"), content)
        archive = root.with_suffix(".tar")
        with tarfile.open(archive, "w") as tar:
            tar.add(root, arcname=".")
        changes = [f"VOLUME {volume}" for volume in declared]
        return self.imported(name, archive, *changes, *([f"CMD {json.dumps(command)}"] if command else []))

    def imported(self, name: str, archive: Path, *changes: str) -> str:
        """Make an image of a tar archive and lines as of a Containerfile; returns its full reference."""
        tagged = name if ":" in name else f"{name}:latest"
        reference = f"localhost/{self.prefix}/{tagged}"
        self.command("import", *(f"--change={change}" for change in changes), str(archive), reference)
        self._images.append(reference)
        return reference

    def run(
        self,
        image: str,
        *command: str,
        name: str = "",
        volumes: Sequence[str] = (),
        tmpfs: Sequence[str] = (),
        options: Sequence[str] = (),
        network: str = "none",
        detach: bool = True,
    ) -> str:
        """Run a container (`sleep` for an hour where no command is given) and return its name.

        `volumes` as podman's `-v`, `tmpfs` as `--tmpfs`. Without `detach` it waits for the end,
        whatever the exit status.
        """
        name = name or f"{self.prefix}-{next(self._numbers)}"
        arguments = ["run", f"--name={name}", f"--network={network}", *options]
        arguments += ["-d"] if detach else []
        arguments += [f"--volume={volume}" for volume in volumes] + [f"--tmpfs={mount}" for mount in tmpfs]
        self._containers.append(name)
        self.command(*arguments, image, *(command or ("/bin/sleep", "3600")), check=detach)
        return name

    def create(self, image: str, *command: str) -> str:
        """A container that is not started, by its name."""
        name = f"{self.prefix}-{next(self._numbers)}"
        self._containers.append(name)
        self.command("create", f"--name={name}", "--network=none", image, *command)
        return name

    def exec(
        self, name: str, *command: str, check: bool = True, stdin: bytes = b""
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a command in a running container and wait for it."""
        options = ["-i"] if stdin else []
        return self.command("exec", *options, name, *command, check=check, stdin=stdin)

    def shell(self, name: str, script: str, *, check: bool = True) -> subprocess.CompletedProcess[bytes]:
        """Run a shell script in a running container and wait for it."""
        return self.exec(name, "/bin/sh", "-c", script, check=check)

    def cp(self, source: Path, name: str, destination: str) -> None:
        """Copy a file of the host into a container."""
        self.command("cp", str(source), f"{name}:{destination}")

    def id(self, name: str) -> str:
        """The container's full id, 64 hex digits."""
        return self.command("inspect", "--format={{.Id}}", name).stdout.decode().strip()

    @property
    def containers(self) -> frozenset[str]:
        """The names of all that were made and not removed."""
        return frozenset(self._containers)

    def pid(self, name: str) -> int:
        """The host's pid of the container's first process."""
        return int(self.command("inspect", "--format={{.State.Pid}}", name).stdout)

    def rm(self, name: str) -> None:
        """Kill and remove a container."""
        self.command("rm", "--force", "--time=0", name)
        self._containers.remove(name)

    def close(self) -> None:
        """Remove all containers and images that were made."""
        if self._containers:
            self.command("rm", "--force", "--time=0", "--ignore", *self._containers, check=False)
        if self._images:
            self.command("rmi", "--force", *self._images, check=False)
        self._containers, self._images = [], []


def _put(path: Path, content: bytes | str | Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, str) and content.startswith("-> "):
        path.symlink_to(content.removeprefix("-> "))
        return
    if isinstance(content, Path):
        shutil.copy2(content, path)
    else:
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    path.chmod(0o755)
