"""Which backend captures: the best one that works here, another one when it dies, the better one again when it can."""

from __future__ import annotations

import dataclasses
import functools
import logging
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Final

from sensor.capture.base import CaptureCounters, CaptureUnavailable
from sensor.judgement.deduplicate import Reported

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from sensor.blocking.block_plan import ClusterLocation
    from sensor.blocking.blocker import BlockingPolicy
    from sensor.capture.base import Capture
    from sensor.wire import Container, Event

_log = logging.getLogger(__name__)

FIRST_RETRY: Final = 60.0
"""Seconds until a better backend is tried again; twice as long each time."""
LONGEST_RETRY: Final = 3_600.0
DRAIN_SECONDS: Final = 1.0
LOST: Final = "backend"
"""Cause: times that a backend died. What ran until the next one was there, nobody saw."""


@dataclasses.dataclass(frozen=True)
class Backend:
    """A way to capture: its name, and how to open it (raises CaptureUnavailable)."""

    name: str
    open: Callable[[], Capture]


class ChosenCapture:
    """The `Capture` of whichever backend works, the best first. `read` by one thread, `counters` by any.

    When the backend is changed for a better one, the two overlap for some milliseconds, or since an earlier sensor's
    kernel program was left attached: what both saw is reported once.
    """

    def __init__(self, backends: Sequence[Backend], clock: Callable[[], float] = time.monotonic) -> None:
        """Opens one; raises CaptureUnavailable with every backend's reason where none works."""
        self._backends, self._clock = backends, clock
        self._lock = threading.Lock()
        self._before = CaptureCounters()
        self._worked: set[str] = set()
        self._reported = Reported()
        self._again = 0
        self._leaving: Capture | None = None
        self._start_blocking: Callable[[Capture], None] = _dont_block
        self._kinds: Collection[str] = ()
        self._current, self._rank, self.why = self._first()
        self._wait = FIRST_RETRY
        self._retry_at = clock() + self._wait

    @property
    def name(self) -> str:
        """Of the backend that captures now."""
        return self._current.name

    @property
    def capabilities(self) -> list[str]:
        """What this one can do, and the backends that worked before it: so the portal sees that one fell back."""
        return [*sorted(self._worked - {self.name}), *getattr(self._current, "capabilities", ())]

    def start_blocking(
        self, place: ClusterLocation, orders: Callable[[], BlockingPolicy | None], kills_per_minute: int
    ) -> None:
        """Stop what a policy blocks, by every backend that can from now on. Raises OSError where this one can't."""
        self._start_blocking = functools.partial(_start_blocking, place, orders, kills_per_minute)
        self._start_blocking(self._current)

    def detect(self, kinds: Collection[str]) -> None:
        """Ask this backend, and every later one, for what a policy asks for; one that can't tell is not asked."""
        self._kinds = kinds
        _ask(self._current, kinds)

    def adopt(self, pid: int, container: Container) -> bool:
        """As the backend does that captures now."""
        return self._current.adopt(pid, container)

    def read(self, timeout: float) -> list[Event]:
        """As the backend reads; where that fails, from the next one, whose opening may take a moment.

        Raises CaptureUnavailable where none works any more.
        """
        if self._rank and self._clock() >= self._retry_at:
            self._try_better()
        if self._leaving is not None:
            return self._farewell(self._leaving)
        try:
            return self._once(self._current.read(timeout))
        except Exception:  # noqa: BLE001 - logged, and another one takes over
            _log.exception("Capture by %s died", self.name)
            self._replace()
            return []

    def _once(self, events: list[Event]) -> list[Event]:
        """Without what the fallback reported before."""
        if self._rank:
            self._reported.note(events)
            return events
        new = self._reported.new_of(events)
        self._again += len(events) - len(new)
        if events and not new:
            self._current.commit()
        return new

    def commit(self) -> None:
        """Of what was read last, also where that was the last of a backend that is left."""
        (self._leaving or self._current).commit()

    def counters(self) -> CaptureCounters:
        """Over all backends since the start."""
        with self._lock:
            found = _sum(self._before, self._current.counters())
            found = found if self._leaving is None else _sum(found, self._leaving.counters())
            return dataclasses.replace(found, drifted=found.drifted - self._again)

    def detach(self) -> None:
        """End the capture of new execs."""
        self._current.detach()

    def close(self, *, keep: bool | None = None) -> None:
        """Close all that is open; safe to call twice."""
        if self._leaving is not None:
            self._leaving.close(keep=False)
        self._current.close(keep=keep)

    def _first(self, below: int | None = None) -> tuple[Capture, int, str]:
        """The best backend that opens, of those better than `below`; its rank; why not a better one."""
        reasons: list[str] = []
        for rank, backend in enumerate(self._backends[:below]):
            try:
                capture = backend.open()
            except CaptureUnavailable as error:
                reasons.append(str(error))
                continue
            why = "; ".join(reasons) or "the best that there is"
            _log.log(logging.WARNING if reasons else logging.INFO, "Capture by %s: %s", backend.name, why)
            self._worked.add(capture.name)
            self._block(capture)
            _ask(capture, self._kinds)
            return capture, rank, why
        raise CaptureUnavailable("; ".join(reasons))

    def _block(self, capture: Capture) -> None:
        """What can't block captures all the same."""
        try:
            self._start_blocking(capture)
        except (OSError, CaptureUnavailable) as error:
            _log.warning("Capture by %s does not block: %s", capture.name, error)

    def _replace(self) -> None:
        """Put whatever works in the place of a backend that died; what it counted is kept."""
        dead = self._current
        _closed(dead)
        with self._lock:
            self._before = _sum(self._before, _counts(dead), CaptureCounters(lost={LOST: 1}))
            self._current = _Nothing(dead.name)
        current, rank, why = self._first()
        with self._lock:
            self._current, self._rank, self.why = current, rank, why
        self._schedule(again=False)

    def _try_better(self) -> None:
        try:
            better, rank, why = self._first(below=self._rank)
        except CaptureUnavailable as error:
            _log.info("Capture goes on by %s: %s", self.name, error)
            self._schedule(again=True)
            return
        self._current.detach()
        with self._lock:
            self._leaving, self._current = self._current, better
            self._rank, self.why = rank, why
        self._schedule(again=False)

    def _farewell(self, leaving: Capture) -> list[Event]:
        """What a backend that is left has seen until then; it is closed once that is all."""
        try:
            events = leaving.read(DRAIN_SECONDS / 10)
            self._reported.note(events)
        except Exception:  # noqa: BLE001 - logged, and another one takes over
            _log.exception("Capture by %s died while it was left", leaving.name)
            events = []
        if not events:
            _closed(leaving)
            with self._lock:
                self._before, self._leaving = _sum(self._before, _counts(leaving)), None
        return events

    def _schedule(self, *, again: bool) -> None:
        self._wait = min(self._wait * 2, LONGEST_RETRY) if again else FIRST_RETRY
        self._retry_at = self._clock() + self._wait


class _Nothing:
    """Stands in while no backend is open: it counts nothing."""

    def __init__(self, name: str) -> None:
        self.name = name

    def read(self, timeout: float) -> list[Event]:
        raise CaptureUnavailable("no capture backend works on this node any more")

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


def _ask(capture: Capture, kinds: Collection[str]) -> None:
    detect = getattr(capture, "detect", None)
    if detect is not None:
        detect(kinds)


def _dont_block(_: Capture) -> None:
    """Until blocking is asked for."""


def _start_blocking(
    place: ClusterLocation, orders: Callable[[], BlockingPolicy | None], kills_per_minute: int, capture: Capture
) -> None:
    start = getattr(capture, "start_blocking", None)
    if start is not None:
        start(place, orders, kills_per_minute)


def _closed(capture: Capture) -> None:
    try:
        capture.close(keep=False)
    except Exception:  # noqa: BLE001 - logged
        _log.exception("Capture by %s could not be closed", capture.name)


def _counts(capture: Capture) -> CaptureCounters:
    """What a backend counted, as far as it can still tell."""
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
    )
