"""What every backend does with an exec: name its container, judge its file, make the event, count."""

from __future__ import annotations

import dataclasses
import logging
from typing import TYPE_CHECKING, Protocol

from sensor.container.identify import Identifier, NoOverlay, NotAContainer, Sighting
from sensor.judgement.counters import CaptureCounters
from sensor.judgement.events import boot_id, make_event
from sensor.judgement.judge import Unresolvable
from sensor.record import Flag

if TYPE_CHECKING:
    from collections.abc import Callable

    from sensor.container.identify import Resolved
    from sensor.files.handles import OpenFile
    from sensor.judgement.judge import Judge
    from sensor.judgement.opening import Located
    from sensor.record import Record
    from sensor.wire import Event

_log = logging.getLogger(__name__)


class Listener(Protocol):
    """Is told what mount namespaces turn out to be."""

    def resolved(self, record: Record, resolved: Resolved) -> None:
        """The container of an exec."""
        ...

    def settled(self, record: Record) -> None:
        """The exec's mount namespace is no container whose drift could be told."""
        ...


class Examiner:
    """Looks at one exec after another; an exception never ends that. Not thread-safe."""

    def __init__(
        self, identifier: Identifier, judge: Judge, booted_ns: Callable[[], int], listener: Listener | None = None
    ) -> None:
        self.judge = judge
        self.counts = CaptureCounters()
        self.identifier = identifier
        self._booted_ns = booted_ns
        self._listener = listener
        self._boot_id = boot_id()

    def look(self, record: Record, running: OpenFile | None, script: Located | None = None) -> Event | None:
        """The event of an exec that is drift, else None.

        `running` is its executable, opened while it could be had, `script` the `#!` script where that is known
        better than by its name; the caller closes both.
        """
        try:
            return self._look(record, running, script)
        except Unresolvable:
            self.lose("file_gone")
        except OSError:
            # Whatever a container did to its files, the next exec is looked at.
            self.lose("unreadable")
        except Exception:  # noqa: BLE001 - logged and counted
            # What a container chose of its names and mounts must not end detection on its node.
            self.fail(record)
        return None

    def _look(self, record: Record, running: OpenFile | None, script: Located | None) -> Event | None:
        resolved = self.resolve(record)
        if resolved is None:
            return None
        verdict = self.judge.judge(record, resolved, running, script)
        if verdict is None:
            return None
        self.counts.drifted += 1
        self.counts.unresolved += not resolved.complete
        return make_event(record, resolved, verdict, boot=self._boot_id, booted_ns=self._booted_ns())

    def resolve(self, record: Record) -> Resolved | None:
        """The container of an exec, None where it is in none; one without an overlay is counted."""
        try:
            resolved = self.identifier.resolve(_sighting(record))
        except NotAContainer as answer:
            if self._listener is not None and answer.settled:
                self._listener.settled(record)
            return None
        except NoOverlay as answer:
            self.lose("not_overlay")
            if self._listener is not None and answer.settled:
                self._listener.settled(record)
            return None
        if self._listener is not None:
            self._listener.resolved(record, resolved)
        return resolved

    def fail(self, record: Record) -> None:
        """Count and log an exception that is being handled: a fault of this program."""
        _log.exception("could not look at the exec of %r by process %d", record.path, record.pid)
        self.lose("error")

    def lose(self, cause: str, number: int = 1) -> None:
        """Count execs that were lost."""
        self.counts.lost[cause] = self.counts.lost.get(cause, 0) + number

    def miss(self, what: str) -> None:
        """Count an event of which something could not be learned."""
        self.counts.unknown[what] = self.counts.unknown.get(what, 0) + 1

    def counted(self, execs: int, **lost: int) -> CaptureCounters:
        """A snapshot of the counts, with what the backend itself has counted."""
        more = {cause: number for cause, number in lost.items() if number}
        return dataclasses.replace(
            self.counts, execs=execs, lost={**self.counts.lost, **more}, unknown=dict(self.counts.unknown)
        )


def _sighting(record: Record) -> Sighting:
    return Sighting(
        namespace_id=record.namespace_id,
        pid=record.pid,
        cgroup=record.cgroup,
        root=record.root,
        root_dev=record.root_dev,
        overlay_root=bool(record.flags & Flag.OVERLAY_ROOT),
        namespace_inum=record.namespace_inum,
        others=[pid for pid, _ in record.ancestors],
    )
