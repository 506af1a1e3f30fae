"""The kernel objects of one sensor, kept in a bpffs so that a restarted sensor goes on where it was.

One directory per sensor; below it one per build of the kernel program, so that a newer sensor never
reads an older one's records.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sensor.capture.errors import CaptureUnavailable
from sensor.capture.libbpf import WAITING_NAME, KernelObjects
from sensor.capture.programs import LINK_NAME, MAPS
from sensor.container.mounts import parse_mounts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sensor.capture.libbpf import Libbpf

SYSTEM: Final = Path("/sys/fs/bpf")
OWN_DIRECTORY: Final = "driftwatch"
"""Of this program in the system's bpffs, where that itself is named as the directory for pins."""
OWN_NAME: Final = re.compile(r"[0-9a-f]{12}-\d+(-libraries)?")
"""Directories of this program: what `build_id` makes."""
TRACEFS: Final = Path("/sys/kernel/tracing")


class Pins:
    """Locks the directory for this process; raises CaptureUnavailable where that can't be."""

    def __init__(self, directory: Path, build: str) -> None:
        directory = own_directory(directory)
        self._directory = directory
        self._links: tuple[str, ...] = ()
        self._mounted = _ensure_bpffs(directory)
        self._build = directory / build
        self._lock = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._lock)
            raise CaptureUnavailable(f"eBPF capture: another sensor uses the pins in {directory}") from None

    def take_over(self, libbpf: Libbpf, links: Sequence[str], waiting: Sequence[str] = ()) -> KernelObjects | None:
        """Return the objects that an earlier sensor of this build left attached by just these links, or None.

        Programs that were `waiting` may be attached too.
        """
        if not self._build.is_dir():
            return None
        programs = [WAITING_NAME.format(name) for name in waiting]
        found, needed = {entry.name for entry in self._build.iterdir()}, {*MAPS, *links, *programs}
        attached = sorted(found - needed)
        if needed - found or set(attached) - {LINK_NAME.format(name) for name in waiting}:
            return None
        links = (*links, *attached)
        fds: dict[str, int] = {}
        try:
            for name in (*MAPS, *programs, *links):
                fds[name] = libbpf.pinned(self._build / name)
        except OSError:
            for fd in fds.values():
                os.close(fd)
            return None
        self._links = tuple(links)
        self._remove_all_but(self._build.name)
        return KernelObjects(*({name: fds[name] for name in names} for names in (MAPS, links, programs)))

    def keep(self, libbpf: Libbpf, descriptors: KernelObjects) -> None:
        """Pin all in the place of what is there; the links last, so that what can be taken over is whole.

        Only now is removed what an earlier sensor left: where nothing can be loaded, its pins stay.
        """
        self._remove_all_but(None)
        self._links = tuple(descriptors.links)
        self._build.mkdir(mode=0o700)
        try:
            for name, fd in sorted(descriptors.items().items(), key=lambda item: item[0].endswith("_link")):
                libbpf.pin(fd, self._build / name)
        except BaseException:
            _remove(self._build)
            raise

    def add(self, libbpf: Libbpf, link: str, fd: int) -> None:
        """Pin the link of a program that waited."""
        libbpf.pin(fd, self._build / link)
        self._links = (*self._links, link)

    def remove(self, link: str) -> None:
        """Give up the link of a program that waits again."""
        (self._build / link).unlink(missing_ok=True)
        self._links = tuple(name for name in self._links if name != link)

    def unlink(self) -> None:
        """Give up the links, so that nothing is attached any more once their descriptors are closed."""
        for name in self._links:
            (self._build / name).unlink(missing_ok=True)

    def close(self, *, remove: bool) -> None:
        """Release the directory; with `remove` pins, directory and its mount too."""
        if remove:
            _remove(self._build)
        os.close(self._lock)
        if remove and self._mounted and not any(entry.is_dir() for entry in self._directory.iterdir()):
            ctypes.CDLL(None, use_errno=True).umount2(bytes(self._directory), 0)
        if remove:
            with contextlib.suppress(OSError):
                self._directory.rmdir()

    def _remove_all_but(self, build: str | None) -> None:
        for entry in self._directory.iterdir():
            # The directory may be shared, as /sys/fs/bpf is: others' pins are not touched.
            if entry.name != build and OWN_NAME.fullmatch(entry.name):
                _remove(entry)


def own_directory(directory: Path) -> Path:
    """Return the directory for pins: the system's bpffs is everybody's, so there it is one of our own in it."""
    return directory / OWN_DIRECTORY if directory.resolve() == SYSTEM else directory


def drop_pins(directory: Path) -> bool:
    """Remove what an earlier sensor left attached and will not be read; return whether there was anything.

    What a running sensor uses is left alone.
    """
    directory = own_directory(directory)
    try:
        lock = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        left = [entry for entry in directory.iterdir() if OWN_NAME.fullmatch(entry.name)]
        for entry in left:
            _remove(entry)
    except OSError:
        return False
    finally:
        os.close(lock)
    return bool(left)


def _remove(directory: Path) -> None:
    shutil.rmtree(directory, ignore_errors=True)


def _ensure_bpffs(directory: Path) -> bool:
    """Make the directory, on a bpffs; returns whether that is a mount of its own, this or an earlier sensor's.

    The system's place is mounted where that was not done yet, and stays; elsewhere the directory gets a
    mount of its own.
    """
    try:
        if SYSTEM in directory.parents and _covering_mount(SYSTEM)[1] != b"bpf":
            _mount(SYSTEM, b"bpf")
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        mount = _covering_mount(directory)
        if mount[1] != b"bpf":
            _mount(directory, b"bpf")
            return True
    except OSError as error:
        raise CaptureUnavailable(f"eBPF capture: no bpffs at {directory}: {error.strerror}") from None
    return mount[0] == bytes(directory) and directory.resolve() != SYSTEM


def _covering_mount(directory: Path) -> tuple[bytes, bytes]:
    """Mount point and type of the filesystem that a directory is on."""
    path = bytes(directory.resolve())
    mounts = parse_mounts(Path("/proc/self/mountinfo").read_bytes())
    above = [mount for mount in mounts if path == mount.point or path.startswith(mount.point.rstrip(b"/") + b"/")]
    deepest = max(enumerate(above), key=lambda pair: (len(pair[1].point), pair[0]))[1]
    return deepest.point, deepest.fstype


def ensure_tracefs() -> None:
    """Mount the system's tracefs where that was not done yet: libbpf finds tracepoints there."""
    try:
        if not any(TRACEFS.iterdir()):
            _mount(TRACEFS, b"tracefs")
    except OSError as error:
        raise CaptureUnavailable(f"eBPF capture: no tracefs at {TRACEFS}: {error.strerror}") from None


def _mount(directory: Path, kind: bytes) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(kind, bytes(directory), kind, ctypes.c_ulong(0), b"mode=0700") != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
