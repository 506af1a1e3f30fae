"""Capture by eBPF: every exec in a container that may be drift, from the kernel's own tracepoint."""

from __future__ import annotations

import dataclasses
import time
from typing import TYPE_CHECKING, Final, NamedTuple

from sensor.capture.exec_history import EXEC_HISTORY, KernelExecHistory
from sensor.capture.kept_files import KeptFiles
from sensor.capture.kernel_program import open_kernel
from sensor.capture.mapped_writes import ShownMappings
from sensor.capture.programs import ProgramOptions
from sensor.container.base import ids_from_cgroup
from sensor.container.identify import MAX_NAMESPACES, Identifier
from sensor.container.mounts import host_dev
from sensor.container.recent import Recent
from sensor.container.runtimes import runtimes_of_node
from sensor.files.hashing import Hasher
from sensor.judgement.events import boot_id
from sensor.judgement.examine import Examiner
from sensor.judgement.exec_files import open_mapped, open_opened, open_running
from sensor.judgement.gather import FactGatherer
from sensor.record import Flag, RecordError, decode, pid_and_size

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    from sensor.capture.exec_blocker import ExecBlocker, StartBlocker
    from sensor.capture.exec_tracks import Track
    from sensor.capture.kernel_program import KernelProgram
    from sensor.container.base import Runtime
    from sensor.container.identify import Resolved
    from sensor.files.handles import OpenFile
    from sensor.judgement.counters import CaptureCounters
    from sensor.record import Record
    from sensor.wire import Container, Event

RING_BYTES: Final = 16 * 1024 * 1024
"""Some 15,000 execs while the sensor is busy or away."""
BATCH: Final = 256
"""Records in one read; as many files may be held open."""
AHEAD: Final = 64
"""Records behind them that are looked at: they show how far the queue of opened files was read."""


@dataclasses.dataclass
class _HeldRecord:
    """One record on its way: with its executable and what else it opened held open, as the process may be gone soon."""

    record: Record
    running: OpenFile | None
    opened: Sequence[OpenFile | None]

    def close(self) -> None:
        """Release the files."""
        for file in (self.running, *self.opened):
            if file is not None:
                file.close()


class _Registered(NamedTuple):
    """A mount namespace as the kernel program knows it."""

    root_dev: int
    track: Track
    container_id: str
    owns_cgroup: bool


class EbpfCapture:
    """The `Capture` on eBPF. One thread at a time; made by `open_ebpf`."""

    name = "ebpf"

    def __init__(
        self,
        kernel: KernelProgram,
        identifier: Identifier,
        gatherer: FactGatherer,
        *,
        keep_pins: bool,
        libraries: bool = False,
        kept: KeptFiles | None = None,
    ) -> None:
        self._kernel, self._kept = kernel, kept
        self._examiner = Examiner(identifier, gatherer, kernel.booted_ns, self)
        self._keep_pins, self._libraries = keep_pins, libraries
        self._from_kernel = {"execs": 0, "lost": 0}
        self._mappings = ShownMappings()
        self._registered: Recent[int, _Registered] = Recent(MAX_NAMESPACES)
        self.history = KernelExecHistory(kernel.exec_tracks(), boot_id(), kernel.booted_ns, self._register_again)
        self._entered: Recent[int, None] = Recent(MAX_NAMESPACES)
        self._outstanding = False
        self._left = 0
        self._closed = False
        self._blocker: ExecBlocker | None = None

    def start_blocking(self, start: StartBlocker) -> None:
        """Block drift by a policy until the capture ends. Raises OSError where this node can't block."""
        self._blocker = start(self._kernel.tables())

    @property
    def capabilities(self) -> tuple[str, ...]:
        """The capabilities beyond capturing execs."""
        blocks = self._blocker.capabilities if self._blocker is not None else ()
        return (*blocks, *(("library",) if self._libraries else ()), EXEC_HISTORY, *self._kernel.capabilities)

    @property
    def limits(self) -> str:
        """What this kernel does not let the program do, with the reason, in one line; empty where that is nothing."""
        return self._kernel.limits

    def detect(self, kinds: Collection[str]) -> None:
        """Look for the kinds that a policy names: execs of interpreters are captured only where it names them."""
        self._kernel.detect(interpreters="interpreter" in kinds)

    def read(self, timeout: float) -> list[Event]:
        """Drifted execs, oldest first; [] when `timeout` seconds passed without one."""
        deadline = time.monotonic() + timeout
        while True:
            events = self._batch()
            left = deadline - time.monotonic()
            if events or left <= 0:
                return events
            self._kernel.ring.wait(left)

    def commit(self) -> None:
        """Give the ring's space back: everything that `read` returned is stored."""
        self._kernel.ring.commit()
        self._outstanding = False

    def counters(self) -> CaptureCounters:
        """Counts so far; with the pins of an earlier sensor, execs and losses since it last counted too."""
        if not self._closed:
            self._from_kernel = self._kernel.counts()
        return self._examiner.snapshot(self._from_kernel["execs"], ring=self._from_kernel["lost"] + self._left)

    def adopt(self, pid: int, container: Container) -> bool:
        """Name the container of a process of this sensor's own."""
        self._examiner.adopt(pid, container)
        return True

    def detach(self) -> None:
        """Stop capturing new execs, for a clean stop; the ring can still be read and committed.

        Does nothing where the pins are to be kept: there the next sensor reads it.
        """
        self._stop_blocking()
        if not self._keep_pins:
            self._kernel.detach()

    def _stop_blocking(self) -> None:
        if self._blocker is not None:
            self._blocker.close()
            self._blocker = None

    def close(self, *, keep: bool | None = None) -> None:
        """Detach, or leave everything pinned; safe to call twice.

        `keep` overrides `keep_pins`: True after a failure, so that the next sensor reads what was not
        committed. Where nothing is kept, records that were not committed are counted as `lost.ring`.
        """
        if self._closed:
            return
        keep = self._keep_pins if keep is None else keep
        self._stop_blocking()
        try:
            if not keep:
                self._kernel.detach()
                self._left = self._kernel.ring.uncommitted()
            self.counters()
        finally:
            # Also where the ring can't be read any more: a program whose ring is not read must not stay attached.
            self._closed = True
            self._kernel.close(unpin=not keep)
            if self._kept is not None:
                self._kept.close()

    def on_container(self, record: Record, resolved: Resolved) -> None:
        """Register a mount namespace that the kernel program did not know (see `NamespaceListener`)."""
        if resolved.adopted:
            return  # it ends at once, and nothing in it is ever blocked
        unknown = bool(record.flags & Flag.UNKNOWN_NAMESPACE)
        owns_cgroup = resolved.container.id in ids_from_cgroup(record.cgroup)
        if unknown and not owns_cgroup:
            # The kernel program has noted this mount namespace as that cgroup's, which others are in too.
            self._entered.put(record.namespace_id, None)
        # Without an overlay the kernel program can't tell an image's file: it sends every exec.
        root_dev = resolved.root_dev if resolved.root.is_overlay else 0
        if not resolved.certain:
            return
        track = self.history.tracks.give(resolved.container.id)
        if unknown and not record.flags & Flag.LIBRARY:
            self.history.tracks.add_early(resolved.container.id, record)
        known = self._registered.get(record.namespace_id)
        is_missed = self._kernel.misses_page_faults and resolved.root.is_overlay
        if is_missed and not self._mappings.are_shown(resolved.layers):
            # Before the kernel program blocks anything there, or what is found of its files is remembered.
            self._kernel.follow_page_faults()
        if unknown or known is None or (known.root_dev, known.track) != (root_dev, track):
            # Again where a container that no runtime knew at first turns out to have another root, or lost its track.
            owns_cgroup = owns_cgroup and record.namespace_id not in self._entered
            self._register(record.namespace_id, _Registered(root_dev, track, resolved.container.id, owns_cgroup))
            if self._kept is not None and resolved.root.is_overlay:
                self._kept.watch(record, resolved)
            if self._blocker is not None and resolved.root.is_overlay:
                self._blocker.meet(resolved)

    def _register(self, namespace_id: int, what: _Registered) -> None:
        self._kernel.register(namespace_id, what.root_dev, owns_cgroup=what.owns_cgroup, track=what.track)
        self._registered.put(namespace_id, what)

    def _register_again(self) -> None:
        """Name each known container's track anew, or that it has none."""
        for namespace_id, known in self._registered.items():
            track = self.history.tracks.give(known.container_id)
            self._register(namespace_id, known._replace(track=track))

    def on_other(self, record: Record) -> None:
        """Make the kernel program ignore a mount namespace."""
        if record.flags & Flag.UNKNOWN_NAMESPACE:
            self._kernel.register(record.namespace_id, None)

    def _batch(self) -> list[Event]:
        if self._kept is not None:
            self._kept.follow_mounts()
        records = self._records()
        if self._kept is not None:
            ahead = self._kernel.ring.ahead(AHEAD) if len(records) == BATCH else []
            self._kept.expect([*((record.pid, record.size) for record in records), *map(pid_and_size, ahead)])
        seen = [self._held(record, place) for place, record in enumerate(records)]
        self._examiner.read_ahead([(item.record, item.running) for item in seen if item.running is not None])
        events = []
        for item in seen:
            try:
                event = self._examiner.examine(item.record, item.running, item.opened)
            finally:
                item.close()
            if event is not None:
                events.append(event)
        self._outstanding = self._outstanding or bool(events)
        if seen and not self._outstanding:
            self._kernel.ring.commit()
        if not seen and self._kept is not None:
            self._kept.rest()
        return events

    def _records(self) -> list[Record]:
        records = []
        for data in self._kernel.ring.records(BATCH):
            try:
                records.append(decode(data))
            except RecordError:
                self._examiner.lose("record")
        return records

    def _held(self, record: Record, place: int) -> _HeldRecord:
        opened = [
            self._kept_file(record.as_executable(each), place) or open_opened(record, each) for each in record.opened
        ]
        return _HeldRecord(record, self._hold(record, place), opened)

    def _kept_file(self, record: Record, place: int) -> OpenFile | None:
        return self._kept.take(record, place) if self._kept is not None else None

    def _hold(self, record: Record, place: int) -> OpenFile | None:
        """Open the executable at once where its content may matter: the process may end any moment."""
        is_overlay = bool(record.flags & Flag.OVERLAY_ROOT)
        if record.flags & Flag.READ:
            return None  # read, and not mapped: it is found by its path
        from_image = is_overlay and not record.flags & Flag.UPPER and record.dev == record.root_dev
        if from_image or self._examiner.knows(record):
            return None
        try:
            if record.flags & Flag.LIBRARY:
                return open_mapped(record)
            return self._kept_file(record, place) or open_running(record)
        except Exception:  # noqa: BLE001 - logged and counted
            # It is still examined, by the facts that the kernel recorded.
            self._examiner.fail(record)
            return None


def open_ebpf(
    *,
    pin_dir: Path | None = None,
    keep_pins: bool = False,
    runtimes: Sequence[Runtime] | None = None,
    ring_bytes: int = RING_BYTES,
    libraries: bool = False,
) -> EbpfCapture:
    """Start capturing; raises CaptureUnavailable with one clear line where this node can't.

    `pin_dir` is this sensor's own directory: on a bpffs, or a bpffs is mounted there. What an earlier
    sensor left in it is taken over, with the execs since. `close` removes the pins unless `keep_pins`.
    Without it nothing outlives the process. `runtimes` are tried in order for a container's identity
    (those of `runtimes_of_node` if None). `ring_bytes` is a power of two. `libraries` also sees files that a
    program maps as code: that costs every system call on the node some 60 ns (docs/detection.md#libraries).
    """
    identifier = Identifier(runtimes_of_node() if runtimes is None else runtimes, host_dev())
    kernel = open_kernel(pin_dir, ProgramOptions(ring_bytes, libraries))
    gatherer, kept = FactGatherer(Hasher(records=kernel.write_records())), KeptFiles.start()
    return EbpfCapture(kernel, identifier, gatherer, keep_pins=keep_pins, libraries=libraries, kept=kept)
