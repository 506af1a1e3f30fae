"""Capture by the best backend that works here, by another when it dies, by the better one again once it can."""

from __future__ import annotations

import dataclasses
import logging
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Final

from sensor.capture.errors import CaptureUnavailable
from sensor.judgement.counters import CaptureCounters
from sensor.judgement.deduplicate import ReportedExecs

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from sensor.capture.base import Capture
    from sensor.capture.exec_blocker import StartBlocker
    from sensor.capture.exec_history import ExecHistory
    from sensor.wire import Container, Event

_log = logging.getLogger(__name__)

FIRST_RETRY: Final = 60.0
"""Seconds until a better backend is tried again; the wait doubles each time."""
LONGEST_RETRY: Final = 3_600.0
DRAIN_SECONDS: Final = 1.0
LOST: Final = "backend"
"""Cause of loss: the number of times a backend died. Execs until the next one was open were not seen."""


@dataclasses.dataclass(frozen=True)
class Backend:
    """A way to capture: its name, and how to open it (raises CaptureUnavailable)."""

    name: str
    open: Callable[[], Capture]


class FailoverCapture:
    """The `Capture` of whichever backend works, the best first. `read` by one thread, `counters` by any.

    When a better backend takes over, the two overlap for some milliseconds, or since an earlier sensor's kernel
    program was left attached: an exec that both saw is reported once.
    """

    def __init__(self, backends: Sequence[Backend], clock: Callable[[], float] = time.monotonic) -> None:
        """Open one; raises CaptureUnavailable with every backend's reason where none works."""
        self._backends, self._clock = backends, clock
        self._lock = threading.Lock()
        self._before = CaptureCounters()
        self._worked: set[str] = set()
        self._reported = ReportedExecs()
        self._duplicates = 0
        self._leaving: Capture | None = None
        self._start_blocker: StartBlocker | None = None
        self._kinds: Collection[str] = ()
        self._current, self._rank, self.why = self._open_best()
        self._wait = FIRST_RETRY
        self._retry_at = clock() + self._wait

    @property
    def name(self) -> str:
        """The name of the backend that captures now."""
        return self._current.name

    @property
    def capabilities(self) -> list[str]:
        """What this backend can do, and the backends that worked before it: so the portal sees that one fell back."""
        return [*sorted(self._worked - {self.name}), *getattr(self._current, "capabilities", ())]

    def start_blocking(self, start: StartBlocker) -> None:
        """Block by this backend and every later one that can. Raises OSError where this one can't."""
        self._start_blocker = start
        _start_blocking(self._current, start)

    def detect(self, kinds: Collection[str]) -> None:
        """Look for the kinds that a policy names, by this backend and every later one that can."""
        self._kinds = kinds
        _detect(self._current, kinds)

    @property
    def history(self) -> ExecHistory | None:
        """What the backend that captures now remembers of containers' execs; None where it remembers none."""
        return getattr(self._current, "history", None)

    def adopt(self, pid: int, container: Container) -> bool:
        """Adopt by the backend that captures now."""
        return self._current.adopt(pid, container)

    def read(self, timeout: float) -> list[Event]:
        """Drifted execs of the current backend; where it fails, of the next one, which may take a moment to open.

        Raises CaptureUnavailable once none works any more.
        """
        if self._rank and self._clock() >= self._retry_at:
            self._try_better()
        if self._leaving is not None:
            return self._drain(self._leaving)
        try:
            return self._not_yet_reported(self._current.read(timeout))
        except Exception:  # noqa: BLE001 - logged, and another one takes over
            _log.exception("Capture by %s died", self.name)
            self._replace()
            return []

    def _not_yet_reported(self, events: list[Event]) -> list[Event]:
        """Leave out the execs that the fallback reported before."""
        if self._rank:
            self._reported.note(events)
            return events
        new = self._reported.without_reported(events)
        self._duplicates += len(events) - len(new)
        if events and not new:
            # The caller commits only the execs it received: the ring would keep these for ever.
            self._current.commit()
        return new

    def commit(self) -> None:
        """Commit the last read, also where that was the last one of a backend that is being left."""
        (self._leaving or self._current).commit()

    def counters(self) -> CaptureCounters:
        """Counts over all backends since the start."""
        with self._lock:
            found = _sum(self._before, self._current.counters())
            found = found if self._leaving is None else _sum(self._leaving.counters(), found)
            return dataclasses.replace(found, drifted=found.drifted - self._duplicates)

    def detach(self) -> None:
        """End the capture of new execs."""
        self._current.detach()

    def close(self, *, keep: bool | None = None) -> None:
        """Close all that is open; safe to call twice."""
        if self._leaving is not None:
            self._leaving.close(keep=False)
        self._current.close(keep=keep)

    def _open_best(self, below: int | None = None) -> tuple[Capture, int, str]:
        """Return the best backend that opens, of those better than rank `below`; its rank; why not a better one."""
        reasons: list[str] = []
        for rank, backend in enumerate(self._backends[:below]):
            try:
                capture = backend.open()
            except CaptureUnavailable as error:
                reasons.append(str(error))
                continue
            why = "; ".join(reasons) or "the preferred backend"
            _log.log(logging.WARNING if reasons else logging.INFO, "Capture by %s: %s", backend.name, why)
            self._worked.add(capture.name)
            self._block(capture)
            _detect(capture, self._kinds)
            return capture, rank, why
        raise CaptureUnavailable("; ".join(reasons))

    def _block(self, capture: Capture) -> None:
        """Start blocking where that was requested; a backend that can't block captures all the same."""
        try:
            if self._start_blocker is not None:
                _start_blocking(capture, self._start_blocker)
        except (OSError, CaptureUnavailable) as error:
            _log.warning("Capture by %s does not block: %s", capture.name, error)

    def _replace(self) -> None:
        """Replace a backend that died by whichever works; its counts are kept."""
        dead = self._current
        _close(dead)
        with self._lock:
            self._before = _sum(self._before, _last_counters(dead), CaptureCounters(lost={LOST: 1}))
            # Opening takes a while, and the heartbeat may read the counters: the dead one's are in _before.
            self._current = _NoCapture(dead.name)
        current, rank, why = self._open_best()
        with self._lock:
            self._current, self._rank, self.why = current, rank, why
        self._schedule(again=False)

    def _try_better(self) -> None:
        try:
            better, rank, why = self._open_best(below=self._rank)
        except CaptureUnavailable as error:
            _log.info("Capture continues by %s: %s", self.name, error)
            self._schedule(again=True)
            return
        # In this order: the two overlap for a moment, and no exec falls between them.
        self._current.detach()
        with self._lock:
            self._leaving, self._current = self._current, better
            self._rank, self.why = rank, why
        self._schedule(again=False)

    def _drain(self, leaving: Capture) -> list[Event]:
        """Return the next execs that a backend saw before it was left; close it once there are none."""
        try:
            events = leaving.read(DRAIN_SECONDS / 10)
            self._reported.note(events)
        except Exception:  # noqa: BLE001 - logged, and another one takes over
            _log.exception("Capture by %s died during the switch to another backend", leaving.name)
            events = []
        if not events:
            _close(leaving)
            with self._lock:
                self._before, self._leaving = _sum(self._before, _last_counters(leaving)), None
        return events

    def _schedule(self, *, again: bool) -> None:
        self._wait = min(self._wait * 2, LONGEST_RETRY) if again else FIRST_RETRY
        self._retry_at = self._clock() + self._wait


class _NoCapture:
    """Stands in while no backend is open; counts nothing."""

    def __init__(self, name: str) -> None:
        self.name = name

    def read(self, timeout: float) -> list[Event]:
        raise CaptureUnavailable("no capture backend works on this node any longer")

    def commit(self) -> None:
        """Nothing was read."""

    def adopt(self, pid: int, container: Container) -> bool:
        return False

    def counters(self) -> CaptureCounters:
        return CaptureCounters()

    def detach(self) -> None:
        """Nothing is attached."""

    def close(self, *, keep: bool | None = None) -> None:
        """Nothing is held."""


def _detect(capture: Capture, kinds: Collection[str]) -> None:
    detect = getattr(capture, "detect", None)
    if detect is not None:
        detect(kinds)


def _start_blocking(capture: Capture, start: StartBlocker) -> None:
    start_blocking = getattr(capture, "start_blocking", None)
    if start_blocking is not None:
        start_blocking(start)


def _close(capture: Capture) -> None:
    try:
        capture.close(keep=False)
    except Exception:  # noqa: BLE001 - logged
        _log.exception("Capture by %s could not be closed", capture.name)


def _last_counters(capture: Capture) -> CaptureCounters:
    """Return the counts of a dead or closed backend, as far as it can still report them."""
    try:
        return capture.counters()
    except Exception:  # noqa: BLE001 - logged
        _log.exception("The counts of capture by %s are lost", capture.name)
        return CaptureCounters()


def _sum(*parts: CaptureCounters) -> CaptureCounters:
    return CaptureCounters(
        execs=sum(part.execs for part in parts),
        drifted=sum(part.drifted for part in parts),
        unresolved=sum(part.unresolved for part in parts),
        lost=dict(sum((Counter(part.lost) for part in parts), Counter())),
        unknown=dict(sum((Counter(part.unknown) for part in parts), Counter())),
        # Of what runs now only the backend that captures now can tell.
        gaps=parts[-1].gaps,
    )
