"""Examine one exec: name its container, gather the facts, decide, make the event, count."""

from __future__ import annotations

import dataclasses
import logging
from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from sensor.container.gaps import Gaps
from sensor.container.identify import ContainerEvidence, NotAContainer
from sensor.container.overlay import LayersUnreadable
from sensor.judgement.arguments import RootUnknown, Unresolvable
from sensor.judgement.counters import CaptureCounters
from sensor.judgement.decide import Verdict, decide
from sensor.judgement.entries import Entries
from sensor.judgement.events import boot_id, make_event, name_owner, name_volume
from sensor.judgement.interpreters import is_interpreter
from sensor.judgement.loader_arguments import interpreter_called
from sensor.record import Flag

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sensor.container.identify import Identifier, Resolved
    from sensor.files.handles import OpenFile
    from sensor.judgement.gather import FactGatherer
    from sensor.policy.drift_kinds import DriftKind
    from sensor.record import Record
    from sensor.wire import Container, Event

_log = logging.getLogger(__name__)

OUTSIDE_PID: Final = 0
"""Of a process that the sensor's pid namespace does not have: that of another node on the same machine (kind)."""


class NamespaceListener(Protocol):
    """Is notified of what mount namespaces turn out to be."""

    def on_container(self, record: Record, resolved: Resolved) -> None:
        """An exec's container is known."""
        ...

    def on_other(self, record: Record) -> None:
        """An exec's mount namespace is not that of a container."""
        ...


class Examiner:
    """Examines one exec after another; an exception never ends that. Not thread-safe."""

    def __init__(
        self,
        identifier: Identifier,
        gatherer: FactGatherer,
        booted_ns: Callable[[], int],
        listener: NamespaceListener | None = None,
    ) -> None:
        self.counts = CaptureCounters()
        self.gaps = Gaps()
        self._identifier, self._gatherer = identifier, gatherer
        self._booted_ns = booted_ns
        self._listener = listener
        self._boot_id = boot_id()
        self._entries = Entries()

    def adopt(self, pid: int, container: Container) -> None:
        """Name the container of a process of this sensor's own. From any thread."""
        self._identifier.adopt(pid, container)

    def knows(self, record: Record) -> bool:
        """Return whether the file's facts are remembered: then the executable need not be opened."""
        return self._gatherer.knows(record)

    def read_ahead(self, execs: Sequence[tuple[Record, OpenFile]]) -> None:
        """Prepare for the execs that are examined next, with their executables."""
        try:
            self._gatherer.read_ahead(execs)
        except Exception:  # each is examined without  # noqa: BLE001
            _log.exception("could not read ahead")

    def examine(self, record: Record, running: OpenFile | None, opened: Sequence[OpenFile | None] = ()) -> Event | None:
        """Return the event of an exec that is drift, else None.

        `running` is its executable, opened while the process lived, `opened` the same of each of `record.opened`. The
        caller closes them.
        """
        event = self._examined(record, running, opened)
        # What was stopped is reported, whatever could be learnt of it.
        return self._event_of_kill(record) if event is None and record.flags & Flag.KILLED else event

    def _event_of_kill(self, record: Record) -> Event | None:
        try:
            resolved = self.resolve(record)
            return self._event(record, resolved, _kill_verdict(record)) if resolved is not None else None
        except Exception:  # noqa: BLE001 - logged and counted
            self.fail(record)
        return None

    def _examined(self, record: Record, running: OpenFile | None, opened: Sequence[OpenFile | None]) -> Event | None:
        try:
            resolved = self.resolve(record)
            if resolved is None:
                return None
            if record.pid == OUTSIDE_PID and not resolved.complete:
                self.counts.unresolved += 1
                return None
            if record.flags & Flag.ENTRY:
                self._entries.note(record, resolved)
            verdict = decide(self._gatherer.gather(record, resolved, running, opened))
            self._count_unseen(record, resolved, verdict)
            return self._event(record, resolved, verdict) if verdict is not None else None
        except RootUnknown:
            self.lose("root_unknown", resolved)
        except Unresolvable:
            self.lose("file_gone", resolved)
        except LayersUnreadable:
            self.lose("layers_unreadable", resolved)
        except OSError:
            # Whatever a container did to its files, the next exec is examined.
            self.lose("unreadable", resolved)
        except Exception:  # noqa: BLE001 - logged and counted
            # Nothing that a container chose of its names and mounts may end detection on its node.
            self.fail(record, resolved)
        return None

    def _count_unseen(self, record: Record, resolved: Resolved, verdict: Verdict | None) -> None:
        """Count what the kernel program could not find: what an interpreter reads next, or a file of this exec."""
        if record.flags & Flag.UNSEEN and record.flags & Flag.READ:
            # The kernel program follows more than is judged: R and others, and Busybox whatever applet it runs.
            if is_interpreter(*interpreter_called(record.loaded_by, record.argv)):
                self.lose("reads_unseen", resolved)
        elif record.flags & Flag.UNSEEN and verdict is None:
            self.lose("opened_unseen", resolved)

    def _event(self, record: Record, resolved: Resolved, verdict: Verdict) -> Event:
        self.counts.drifted += 1
        self.counts.unresolved += not resolved.complete
        booted_ns = self._booted_ns()
        event = make_event(record, resolved, verdict, boot=self._boot_id, booted_ns=booted_ns)
        event.process.entry = self._entries.entry(record, booted_ns)
        self._refine_session(event, record, resolved)
        if verdict.volume_image is not None:
            name_volume(event, verdict.volume_image, is_image_file=bool(verdict.is_unchanged))
            return event
        owner = self._identifier.owner_of(verdict.dev) if verdict.dev is not None else None
        if owner is not None and owner.id != resolved.container.id:
            name_owner(event, owner, is_image_file=verdict.is_unchanged)
        return event

    def _refine_session(self, event: Event, record: Record, resolved: Resolved) -> None:
        provenance = event.process.provenance
        if provenance is not None:
            session = self._entries.session(record, resolved, provenance.session)
            if session != provenance.session:
                event.process.provenance = msgspec.structs.replace(provenance, session=session)

    def resolve(self, record: Record) -> Resolved | None:
        """Return the container of an exec, None where it is in none."""
        try:
            resolved = self._identifier.resolve(_evidence(record))
        except NotAContainer as answer:
            if self._listener is not None and answer.settled:
                self._listener.on_other(record)
            return None
        self.gaps.note(resolved)
        if self._listener is not None:
            self._listener.on_container(record, resolved)
        return resolved

    def fail(self, record: Record, resolved: Resolved | None = None) -> None:
        """Count and log an exception that is being handled: a bug of this program."""
        _log.exception("could not examine the exec of %r by process %d", record.path, record.pid)
        self.lose("error", resolved)

    def lose(self, cause: str, resolved: Resolved | None = None) -> None:
        """Count an exec that could not be judged, also for its container where that is known."""
        self.counts.lost[cause] = self.counts.lost.get(cause, 0) + 1
        if resolved is not None:
            self.gaps.lose(resolved, cause)

    def miss(self, what: str) -> None:
        """Count an event with unknown facts."""
        self.counts.unknown[what] = self.counts.unknown.get(what, 0) + 1

    def snapshot(self, execs: int, **lost: int) -> CaptureCounters:
        """Return the counts so far, the backend's own added to them."""
        causes = {**self.counts.lost, **lost}
        return dataclasses.replace(
            self.counts,
            execs=execs,
            lost={each: number for each in causes if (number := self.counts.lost.get(each, 0) + lost.get(each, 0))},
            unknown=dict(self.counts.unknown),
            gaps=self.gaps.current(),
        )


def _kill_verdict(record: Record) -> Verdict:
    """Return the verdict on an exec that was stopped, by what the kernel program saw alone."""
    scripts = [opened for opened in record.opened if not opened.is_interpreter]
    seen = record if record.flags & Flag.UPPER or not scripts else record.as_executable(scripts[0])
    kind: DriftKind = "replaced" if seen.flags & Flag.LOWER else "new_file"
    if seen is not record:
        kind = "script"
    elif seen.flags & Flag.MEMFD:
        kind = "fileless"
    elif seen.dev != record.root_dev:
        kind = "foreign_mount"
    return Verdict(kind, seen.path, None, "gone", seen.size, via=record.path if seen is not record else None)


def _evidence(record: Record) -> ContainerEvidence:
    return ContainerEvidence(
        namespace_id=record.namespace_id,
        pid=record.pid,
        cgroup=record.cgroup,
        root=record.root,
        root_dev=record.root_dev,
        overlay_root=bool(record.flags & Flag.OVERLAY_ROOT),
        namespace_inum=record.namespace_inum,
        others=[pid for pid, _ in record.ancestors],
        root_below=bool(record.flags & Flag.ROOT_BELOW),
    )
