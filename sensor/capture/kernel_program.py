"""The kernel's side of eBPF capture: program attached, ring mapped, counts read, namespaces registered."""

from __future__ import annotations

import dataclasses
import hashlib
import logging
import os
import struct
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sensor.capture.block_tables import BlockTableDescriptors, BlockTables
from sensor.capture.errors import CaptureUnavailable
from sensor.capture.exec_tracks import NO_TRACK, ExecTracks
from sensor.capture.libbpf import WAITING_NAME, Libbpf
from sensor.capture.older_processes import ProcessMaps, note_older_processes
from sensor.capture.pins import Pins, ensure_tracefs
from sensor.capture.program_ways import RECORD, RECORD_OPENS, Started, start, ways
from sensor.capture.programs import FAULTS, FOLLOWERS, JOINS, KEEPERS, LINK_NAME, READS, Mappings
from sensor.capture.ring import Ring
from sensor.capture.write_records import KernelWriteRecords
from sensor.judgement.events import boot_time_ns
from sensor.record import kernel_device

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sensor.capture.exec_tracks import Track
    from sensor.capture.libbpf import KernelObjects
    from sensor.capture.program_ways import Way
    from sensor.capture.programs import ProgramOptions

log = logging.getLogger(__name__)

OBJECT: Final = Path(__file__).with_name("bpf") / "exec.bpf.o"
CURRENT_TASK: Final = 158
"""The helper bpf_get_current_task_btf, of Linux 5.11: capture itself and blocking do without."""
FIND_MAPPING: Final = 180
"""The helper bpf_find_vma, of Linux 5.17."""
CLOCK_STEP_NS: Final = 1_000_000_000
"""A smaller change of the clock does not move the times of execs: a record read twice stays the same."""
_REGISTRATION: Final = struct.Struct("<IIQII")
_CONTAINER: Final = 1
_CONTAINER_BY_CGROUP: Final = 2
_STATS: Final = {"execs": 0, "lost": 2}
"""Keys of the map `stats`: `enum stat` of the C source."""
_REPORTED: Final = {"execs": 0, "lost": 1}
_BOOTED: Final = 2
_DETECT: Final = 3
_SENSOR: Final = 4
_RECORD: Final = 6
"""Keys of the map `state`: user space's own memory beside the ring, and what the kernel program is to look for."""
_DETECT_INTERPRETER: Final = 1
_BY_TRACEPOINTS: Final = 1
_BY_FUNCTIONS: Final = 2
_SESSIONS: Final = 7
_SESSIONS_SINCE: Final = 8
_BY_PARENTS: Final = 1
_BY_JOINS: Final = 2
_FAULTS_SINCE: Final = 11
_FAULT_LINKS: Final = tuple((WAITING_NAME.format(name), LINK_NAME.format(name)) for name in FAULTS)


class KernelProgram:
    """One attached program. With pins it may be one that an earlier sensor left; raises CaptureUnavailable."""

    def __init__(self, pins: Pins | None, tried: Sequence[Way]) -> None:
        self._pins = pins
        self._libbpf = Libbpf()
        taken = self._take_over(tried)
        self.taken_over = taken is not None
        started = taken or self._attach(tried)
        self._fds = started.objects
        self.limits = started.limits
        self.capabilities = started.way.capabilities
        self.ring = Ring(self._fds.maps["ring"], started.way.options.ring_bytes)
        self._cpus = self._libbpf.possible_cpus()
        self._set_state(_SENSOR, os.getpid())
        self._set_state(_RECORD, _record_way(self.capabilities))
        if not self.taken_over:
            self._follow_processes(started.way.options)
        self._base = {name: self._state(key) for name, key in _REPORTED.items()}
        self._booted_ns = self._state(_BOOTED)

    def _take_over(self, tried: Sequence[Way]) -> Started | None:
        if self._pins is None:
            return None
        for way in tried:
            taken = self._pins.take_over(self._libbpf, tuple(way.options.programs()), way.options.waiting)
            if taken is not None:
                return Started(way, taken)
        return None

    def _attach(self, tried: Sequence[Way]) -> Started:
        started = start(tried, self._load)
        try:
            if self._pins is not None:
                self._pins.keep(self._libbpf, started.objects)
        except BaseException:
            started.objects.close()
            raise
        return started

    def _load(self, options: ProgramOptions) -> KernelObjects:
        if options.libraries:
            ensure_tracefs()
        return self._libbpf.load(OBJECT.read_bytes(), host_namespace=_host_namespace(), options=options)

    def _follow_processes(self, options: ProgramOptions) -> None:
        """Have sessions noted from now on, and those of older processes where that can be told."""
        if not options.followers:
            return
        self._set_state(_SESSIONS_SINCE, time.clock_gettime_ns(time.CLOCK_BOOTTIME))
        self._set_state(_SESSIONS, _BY_JOINS if JOINS in options.record else _BY_PARENTS)
        note_older_processes(
            self._libbpf, ProcessMaps(*(self._fds.maps[name] for name in ProcessMaps._fields)), _host_namespace()
        )

    def register(
        self, namespace_id: int, root_dev: int | None, *, owns_cgroup: bool = False, track: Track = NO_TRACK
    ) -> None:
        """Register the filesystem of a mount namespace's image; None: it is not a container's.

        `owns_cgroup`: all processes in the cgroup of its first exec are the container's, whatever namespaces they make.
        `track`: where its last execs are kept.
        """
        what = _CONTAINER_BY_CGROUP if owns_cgroup else _CONTAINER
        dev = 0 if root_dev is None else kernel_device(root_dev)
        value = _REGISTRATION.pack(dev, 0 if root_dev is None else what, track.owner, track.number, 0)
        self._libbpf.update(self._fds.maps["namespaces"], namespace_id.to_bytes(8, "little"), value)

    def tables(self) -> BlockTables:
        """What to block, as the program looks it up; of use until `close`."""
        fds = BlockTableDescriptors(*(self._fds.maps[name] for name in BlockTableDescriptors._fields))
        return BlockTables(self._libbpf, fds)

    def exec_tracks(self) -> ExecTracks:
        """Return the last execs of containers, of use until `close`."""
        return ExecTracks(self._libbpf, self._fds.maps["tracks"], self._fds.maps["kept_execs"])

    def write_records(self) -> KernelWriteRecords | None:
        """Return the record of writers, of use until `close`; None where this kernel can't keep it."""
        if RECORD not in self.capabilities:
            return None
        return KernelWriteRecords(self._libbpf, self._fds.maps["observed"], self._fds.maps["writers"])

    def detect(self, *, interpreters: bool) -> None:
        """Have execs of interpreters sent, or not, though they are the image's, and what they read."""
        if interpreters:
            self._attach_waiting(READS)
        self._set_state(_DETECT, _DETECT_INTERPRETER if interpreters else 0)
        if not interpreters:
            self._release(READS)

    @property
    def misses_page_faults(self) -> bool:
        """Whether writes through a mapping are not seen on every filesystem, and could be."""
        return any(link not in self._fds.links for waiting, link in _FAULT_LINKS if waiting in self._fds.waiting)

    def follow_page_faults(self) -> None:
        """Have writes through a mapping seen on every filesystem, for good, where the record has them by tracepoints.

        It costs each page fault of the node, of which an exec has dozens.
        """
        if self._attach_waiting(FAULTS):
            self._set_state(_FAULTS_SINCE, time.clock_gettime_ns(time.CLOCK_BOOTTIME))

    def _attach_waiting(self, programs: Iterable[str]) -> bool:
        """Attach those of these programs that are loaded and wait; return whether there were any."""
        attached = False
        for program in programs:
            fd, link = self._fds.waiting.get(WAITING_NAME.format(program)), LINK_NAME.format(program)
            if fd is None or link in self._fds.links:
                continue
            self._fds.links[link] = self._libbpf.attach(fd)
            if self._pins is not None:
                self._pins.add(self._libbpf, link, self._fds.links[link])
            attached = True
        return attached

    def _release(self, programs: Iterable[str]) -> None:
        for program in programs:
            link = LINK_NAME.format(program)
            if WAITING_NAME.format(program) in self._fds.waiting and link in self._fds.links:
                if self._pins is not None:
                    self._pins.remove(link)
                os.close(self._fds.links.pop(link))

    def counts(self) -> dict[str, int]:
        """`execs` in containers and `lost` to a full ring, since this sensor, or the one before it, last counted."""
        now = {name: self._stat(key) for name, key in _STATS.items()}
        for name, key in _REPORTED.items():
            self._set_state(key, now[name])
        return {name: now[name] - self._base[name] for name in now}

    def booted_ns(self) -> int:
        """When the machine booted, ns since 1970: the same for a record read again after a restart."""
        now = boot_time_ns()
        if abs(now - self._booted_ns) > CLOCK_STEP_NS:
            self._booted_ns = now
            self._set_state(_BOOTED, now)
        return self._booted_ns

    def detach(self) -> None:
        """Detach the program from the kernel permanently; its ring can still be read. Safe to call twice."""
        if self._pins is not None:
            self._pins.unlink()
        self._fds = self._fds.without_links()

    def close(self, *, unpin: bool) -> None:
        """Release; the program goes on writing to the ring only where it is pinned and `unpin` is False."""
        self.ring.close()
        self._fds.close()
        if self._pins is not None:
            self._pins.close(remove=unpin)

    def _stat(self, key: int) -> int:
        values = self._libbpf.lookup(self._fds.maps["stats"], key.to_bytes(4, "little"), 8 * self._cpus)
        return sum(struct.unpack(f"<{self._cpus}Q", values))

    def _state(self, key: int) -> int:
        return int.from_bytes(self._libbpf.lookup(self._fds.maps["state"], key.to_bytes(4, "little"), 8), "little")

    def _set_state(self, key: int, value: int) -> None:
        self._libbpf.update(self._fds.maps["state"], key.to_bytes(4, "little"), value.to_bytes(8, "little"))


def _host_namespace() -> int:
    """Return the inode number of the host's mount namespace; this process's own where pid 1 is not to be looked at."""
    try:
        return Path("/proc/1/ns/mnt").stat().st_ino
    except PermissionError:
        return Path("/proc/self/ns/mnt").stat().st_ino


def _record_way(capabilities: tuple[str, ...]) -> int:
    if RECORD not in capabilities:
        return 0
    return _BY_FUNCTIONS if RECORD_OPENS in capabilities else _BY_TRACEPOINTS


def build_id(options: ProgramOptions) -> str:
    """Names a build of the kernel program and its options: only the same may take over pins."""
    suffix = "-libraries" if options.libraries else ""
    return f"{hashlib.sha256(OBJECT.read_bytes()).hexdigest()[:12]}-{options.ring_bytes}{suffix}"


def possible(options: ProgramOptions, *, knows_task: bool, mappings: tuple[Mappings, ...]) -> ProgramOptions:
    """As much of it as this kernel can; raises CaptureUnavailable. `knows_task`: whether it has CURRENT_TASK."""
    options = dataclasses.replace(options, mappings=mappings)
    if knows_task:
        return options
    if options.libraries:
        raise CaptureUnavailable("eBPF capture: to see libraries needs Linux 5.11 (bpf_get_current_task_btf)")
    log.warning("Events lack the process that wrote a file: that needs Linux 5.11 (bpf_get_current_task_btf)")
    return dataclasses.replace(options, writers=False)


def interpreter_finders(libbpf: Libbpf) -> tuple[Mappings, ...]:
    """Return the programs that find a program interpreter on this kernel."""
    return (Mappings.START,) if libbpf.knows_helper(FIND_MAPPING) else (Mappings.LIST,)


def open_kernel(pin_dir: Path | None, options: ProgramOptions) -> KernelProgram:
    """Attach, or take over the pins in `pin_dir`; raises CaptureUnavailable with a one-line reason."""
    if os.geteuid() != 0:
        raise CaptureUnavailable("eBPF capture needs root")
    if not Path("/sys/kernel/btf/vmlinux").exists():
        raise CaptureUnavailable(
            "eBPF capture needs a kernel with BTF (CONFIG_DEBUG_INFO_BTF): no /sys/kernel/btf/vmlinux"
        )
    libbpf = Libbpf()
    is_old = not libbpf.compares_and_exchanges()
    options = dataclasses.replace(options, keeper=KEEPERS[is_old], followers=FOLLOWERS[is_old])
    options = possible(options, knows_task=libbpf.knows_helper(CURRENT_TASK), mappings=interpreter_finders(libbpf))
    pins = Pins(pin_dir, build_id(options)) if pin_dir is not None else None
    try:
        return KernelProgram(pins, ways(libbpf, options))
    except BaseException:
        if pins is not None:
            pins.close(remove=False)
        raise
