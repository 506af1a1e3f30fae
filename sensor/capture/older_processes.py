"""Sessions of processes that are older than the kernel program, where /proc shows them for sure.

Two things are sure: a container's own first process, and who entered a container from outside; and of the latter also
its children, as long as no parent on the way has ended: then the kernel gives a child to another parent. All others
are unknown. So is a process that is the first of its pid namespace where an older one is, in the same mount namespace
or with the same root: it may have entered, and made namespaces of its own.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from sensor.files.handles import file_status
from sensor.operations.machine import nested_pid_namespace
from sensor.record import SessionOf, kernel_device

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sensor.capture.libbpf import Libbpf

_ENTRY: Final = struct.Struct("<QQQQIIII")
"""`struct process` of processes.h: its start, 0 where it is older, its mount namespace and root, when it entered, its
session and origin, and the process that entered."""
PLACES: Final = 32_768
_PLACE_BYTES: Final = 8 + _ENTRY.size
"""`PLACES` of processes.h, and its `struct place`: a pid, and its process."""
_FIRST: Final = struct.Struct("<QII")
"""`struct first_process` of sessions.h: its start and pid."""
_ENTERED_UNSEEN: Final = 1
_NOTED_BY_INUM: Final = 1 << 63


class OlderProcess(NamedTuple):
    """One process in /proc: `start` in clock ticks since boot, `rank` its pid in its own pid namespace.

    `root` is the device and the inode number of its root directory.
    """

    pid: int
    parent: int
    start: int
    rank: int
    pid_namespace: int
    mount_namespace: int
    root: tuple[int, int]


class ProcessMaps(NamedTuple):
    """The kernel program's maps of processes (processes.h, sessions.h), as descriptors."""

    processes: int
    places: int
    first_processes: int

    def has(self, libbpf: Libbpf, pid: int) -> bool:
        """Return whether the kernel program has noted a process itself."""
        place = libbpf.find(self.places, (pid % PLACES).to_bytes(4, "little"), _PLACE_BYTES)
        if place is not None and int.from_bytes(place[:4], "little") == pid:
            return True
        return libbpf.find(self.processes, pid.to_bytes(4, "little"), _ENTRY.size) is not None


def note_older_processes(libbpf: Libbpf, maps: ProcessMaps, host: int) -> None:
    """Store the sessions of the processes that run now in the kernel program's map; newer ones are in it already.

    `host` is the inode number of the node's mount namespace.
    """
    if nested_pid_namespace():
        return  # the kernel program has its processes by the machine's own pids
    found = read_processes()
    sessions = certain_sessions(found, host)
    first = oldest_of_each_root(found, host)
    for pid in {*sessions, *first}:
        key = pid.to_bytes(4, "little")
        if maps.has(libbpf, pid):
            continue
        older = found[pid]
        where = _NOTED_BY_INUM | older.mount_namespace
        session = sessions.get(pid, SessionOf.UNKNOWN)
        libbpf.update(maps.processes, key, _ENTRY.pack(0, where, 0, _ENTERED_UNSEEN, session, 0, 0, 0))
        if pid in first:
            # An overlay's root is known there by its device; other roots by what /proc does not show.
            root = kernel_device(older.root[0]).to_bytes(8, "little")
            libbpf.update(maps.first_processes, root, _FIRST.pack(0, pid, 0))
        # One that ended before that left its pid to another.
        now = read_process(pid)
        if now is None or now.start != older.start:
            libbpf.delete(maps.processes, key)


def certain_sessions(processes: Mapping[int, OlderProcess], host: int) -> dict[int, int]:
    """Return the sessions that are sure, by pid."""
    first = {each.pid_namespace: each for each in processes.values() if each.rank == 1 and each.pid != 1}
    begun = _oldest_of_each_place(processes, first.values())
    found: dict[int, int] = {}
    for each in processes.values():
        parent = processes.get(each.parent)
        if each.mount_namespace == host or parent is None or parent.mount_namespace != host:
            continue
        own = first.get(each.pid_namespace)
        if own is each:
            if each.pid in begun:
                found[each.pid] = SessionOf.WORKLOAD
        elif own is not None and own.mount_namespace == each.mount_namespace:
            found[each.pid] = SessionOf.EXEC
    return found | dict.fromkeys(_descendants(processes, found), SessionOf.EXEC)


def oldest_of_each_root(processes: Mapping[int, OlderProcess], host: int) -> set[int]:
    """Return the pids of the oldest process of each root that is not the node's own."""
    found: dict[tuple[int, int], OlderProcess] = {}
    for each in sorted(processes.values(), key=lambda each: (each.start, each.pid), reverse=True):
        if each.mount_namespace != host:
            found[each.root] = each
    return {each.pid for root, each in found.items() if 1 not in processes or root != processes[1].root}


def _oldest_of_each_place(processes: Mapping[int, OlderProcess], first: Iterable[OlderProcess]) -> set[int]:
    """Return those than which none is older in the same mount namespace, or with the same root."""
    found: set[int] = set()
    taken: set[object] = {processes[1].root} if 1 in processes else set()
    for each in sorted(first, key=lambda each: (each.start, each.pid)):
        places: set[object] = {each.mount_namespace, each.root}
        if not places & taken:
            found.add(each.pid)
        taken |= places
    return found


def _descendants(processes: Mapping[int, OlderProcess], found: Mapping[int, int]) -> set[int]:
    """Return the processes whose parents, one after the other, lead to one that entered its container."""
    entered = {pid for pid, session in found.items() if session == SessionOf.EXEC}
    below: set[int] = set()
    for each in processes.values():
        way: list[int] = []
        pid = each.pid
        while pid in processes and pid not in entered and pid not in below and pid not in way:
            way.append(pid)
            pid = processes[pid].parent
        if pid in entered or pid in below:
            below.update(way)
    return below


def read_processes(pids: Iterable[int] | None = None) -> dict[int, OlderProcess]:
    """Return the processes of the node, or those of these pids, by pid; one that ends meanwhile is left out."""
    if pids is None:
        pids = [int(each.name) for each in Path("/proc").iterdir() if each.name.isdecimal()]
    return {pid: process for pid in pids if (process := read_process(pid)) is not None}


def read_process(pid: int) -> OlderProcess | None:
    """Return one process; None where it is gone or has no namespaces, as one that ended."""
    directory = Path(f"/proc/{pid}")
    try:
        # The name may hold anything, a parenthesis too.
        fields = (directory / "stat").read_bytes().rpartition(b")")[2].split()
        status = (directory / "status").read_bytes()
        pids, mounts = ((directory / "ns" / name).stat().st_ino for name in ("pid", "mnt"))
        ranks = status.partition(b"\nNSpid:")[2].partition(b"\n")[0].split()
        root = file_status(f"{directory}/root")  # which may be a FUSE filesystem that never answers
        where = root.dev, root.ino
        return OlderProcess(pid, int(fields[1]), int(fields[19]), int(ranks[-1]), pids, mounts, where)
    except (OSError, IndexError, ValueError):
        return None
