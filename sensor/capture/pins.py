"""The kernel objects of one sensor, kept in a bpffs so that a restarted sensor goes on where it was.

One folder per sensor; below it one per build of the kernel program, so that a newer sensor never
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

from sensor.capture.base import CaptureUnavailable
from sensor.capture.libbpf import MAPS, KernelObjects
from sensor.container.mounts import parse_mounts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sensor.capture.libbpf import Libbpf

SYSTEM: Final = Path("/sys/fs/bpf")
OWN_FOLDER: Final = "driftwatch"
"""Of this program in the system's bpffs, where that itself is named as the folder for pins."""
OWN_NAME: Final = re.compile(r"[0-9a-f]{12}-\d+(-libraries)?")
"""Folders of this program: what `build_id` makes."""
TRACEFS: Final = Path("/sys/kernel/tracing")


class Pins:
    """Holds the folder for this process alone; raises CaptureUnavailable where that can't be."""

    def __init__(self, folder: Path, build: str, links: Sequence[str]) -> None:
        folder = own_folder(folder)
        self._folder = folder
        self._links = links
        self._mounted = _ensure_bpffs(folder)
        self._build = folder / build
        self._lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._lock)
            raise CaptureUnavailable(f"eBPF capture: another sensor uses the pins in {folder}") from None
        self._remove_all_but(build)

    def take_over(self, libbpf: Libbpf) -> KernelObjects | None:
        """What an earlier sensor of this build left attached, or None."""
        fds: dict[str, int] = {}
        try:
            for name in (*MAPS, *self._links):
                fds[name] = libbpf.pinned(self._build / name)
        except OSError:
            for fd in fds.values():
                os.close(fd)
            _remove(self._build)
            return None
        return KernelObjects(**fds)

    def keep(self, libbpf: Libbpf, descriptors: KernelObjects) -> None:
        """Pin all; the links last, so that what can be taken over is whole."""
        self._build.mkdir(mode=0o700)
        for name, fd in sorted(descriptors.items().items(), key=lambda item: item[0].endswith("_link")):
            libbpf.pin(fd, self._build / name)

    def unlink(self) -> None:
        """Give up the links, so that nothing is attached any more once their descriptors are closed."""
        for name in self._links:
            (self._build / name).unlink(missing_ok=True)

    def close(self, *, remove: bool) -> None:
        """Let the folder go; with `remove` pins, folder and its mount too."""
        if remove:
            _remove(self._build)
        os.close(self._lock)
        if remove and self._mounted and not any(entry.is_dir() for entry in self._folder.iterdir()):
            ctypes.CDLL(None, use_errno=True).umount2(bytes(self._folder), 0)
        if remove:
            with contextlib.suppress(OSError):
                self._folder.rmdir()

    def _remove_all_but(self, build: str) -> None:
        for entry in self._folder.iterdir():
            # The folder may be shared, as /sys/fs/bpf is: nobody else's pins are touched.
            if entry.name != build and OWN_NAME.fullmatch(entry.name):
                _remove(entry)


def own_folder(folder: Path) -> Path:
    """The folder for pins: the system's bpffs is everybody's, so there it is one of our own in it."""
    return folder / OWN_FOLDER if folder.resolve() == SYSTEM else folder


def drop(folder: Path) -> bool:
    """Take away what an earlier sensor left attached, for one that will not read it; whether there was anything.

    What a running sensor uses is left alone.
    """
    folder = own_folder(folder)
    try:
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        left = [entry for entry in folder.iterdir() if OWN_NAME.fullmatch(entry.name)]
        for entry in left:
            _remove(entry)
    except OSError:
        return False
    finally:
        os.close(lock)
    return bool(left)


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)


def _ensure_bpffs(folder: Path) -> bool:
    """Make the folder, on a bpffs; returns whether that is a mount of its own, this or an earlier sensor's.

    The system's place is mounted where that was not done yet, and stays; elsewhere the folder gets a
    mount of its own.
    """
    try:
        if SYSTEM in folder.parents and _mount_of(SYSTEM)[1] != b"bpf":
            _mount(SYSTEM, b"bpf")
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        mount = _mount_of(folder)
        if mount[1] != b"bpf":
            _mount(folder, b"bpf")
            return True
    except OSError as error:
        raise CaptureUnavailable(f"eBPF capture: no bpffs at {folder}: {error.strerror}") from None
    return mount[0] == bytes(folder) and folder.resolve() != SYSTEM


def _mount_of(folder: Path) -> tuple[bytes, bytes]:
    """Mount point and type of the filesystem that a folder is on."""
    path = bytes(folder.resolve())
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


def _mount(folder: Path, kind: bytes) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(kind, bytes(folder), kind, ctypes.c_ulong(0), b"mode=0700") != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
