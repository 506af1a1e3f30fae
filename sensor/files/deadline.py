"""Work that may hang for ever, such as a read from a network volume whose server is gone, done under a deadline.

What one container may use up of the sensor's time and hashing is bounded by budgets.
"""

from __future__ import annotations

import collections
import queue
import threading
import time
from typing import TYPE_CHECKING, Final, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

MAX_HUNG_THREADS: Final = 32
"""Threads that may hang at once; while they do, nothing more is tried."""
MAX_HUNG_OF_CONTAINER: Final = 2
"""The same of one container: what it makes hang must not keep the sensor from other containers' files."""
LOOK_SECONDS: Final = 1.0
QUICK_SECONDS: Final = 0.02
WAITED_AT_ONCE: Final = 20.0
WAITED_PER_SECOND: Final = 0.1
"""Seconds that the sensor waits for one container beyond quick answers; past that its files are not looked at."""
MAX_PAYERS: Final = 4_096


class Budget:
    """What each payer may use: `burst` at once, and `per_second` in the long run; bytes or seconds. For one thread."""

    def __init__(self, per_second: float, burst: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_second, self._burst, self._clock = per_second, burst, clock
        self._left: collections.OrderedDict[str, tuple[float, float]] = collections.OrderedDict()

    def take(self, payer: str, amount: float) -> bool:
        """Return whether `payer` may use so much now; if so, it is taken off."""
        left = self._left_now(payer)
        granted = amount <= left
        self._keep(payer, left - amount if granted else left)
        return granted

    def spend(self, payer: str, amount: float) -> None:
        """Take off what `payer` has used already, perhaps more than it may: then it gets nothing for a while."""
        self._keep(payer, self._left_now(payer) - amount)

    def _left_now(self, payer: str) -> float:
        left, since = self._left.get(payer, (self._burst, self._clock()))
        return min(self._burst, left + (self._clock() - since) * self._per_second)

    def _keep(self, payer: str, left: float) -> None:
        self._left[payer] = left, self._clock()
        self._left.move_to_end(payer)
        if len(self._left) > MAX_PAYERS:
            self._left.popitem(last=False)


class _Task(Generic[T]):
    def __init__(self, work: Callable[[], T], discard: Callable[[T], None]) -> None:
        self._work, self._discard = work, discard
        self._lock = threading.Lock()
        self._done = threading.Event()
        self._abandoned = False
        self._result: T | None = None
        self._error: BaseException | None = None

    def run(self) -> None:
        """In the worker's thread; a result that comes too late is discarded."""
        try:
            result = self._work()
        except Exception as error:  # noqa: BLE001 - raised where it is waited for
            self._error = error
        else:
            # Under the lock, either the waiter sees the result or this thread sees that it was abandoned: else a file
            # opened just as the time ran out would stay open for ever.
            with self._lock:
                if not self._abandoned:
                    self._result = result
            if self._abandoned:
                self._discard(result)
        self._done.set()

    def wait(self, seconds: float) -> T:
        """Return the result or raise the work's exception; TimeoutError after this many seconds."""
        if not self._done.wait(seconds):
            with self._lock:
                self._abandoned = self._result is None
            if self._abandoned:
                raise TimeoutError("no answer in time")
        if self._error is not None:
            raise self._error
        return self._result  # type: ignore[return-value]


class Worker:
    """Runs one thing at a time in a thread of its own; one that hangs is left behind for a new thread.

    For one thread.
    """

    def __init__(self, max_hung: int = MAX_HUNG_THREADS, clock: Callable[[], float] = time.monotonic) -> None:
        self._max_hung, self._clock = max_hung, clock
        self._hung: list[tuple[str, threading.Thread]] = []
        self._payer = ""
        self._waited = Budget(WAITED_PER_SECOND, WAITED_AT_ONCE, clock)
        self._tasks: queue.SimpleQueue[_Task[object] | None] | None = None
        self._thread: threading.Thread | None = None

    def run(self, work: Callable[[], T], seconds: float, discard: Callable[[T], None] = lambda _: None) -> T:
        """What `work` returns or raises. Raises TimeoutError after `seconds`, or at once while too much hangs.

        `discard` gets the result that comes too late.
        """
        self.check()
        task = _Task(work, discard)
        if self._tasks is None:
            self._tasks = queue.SimpleQueue()
            self._thread = threading.Thread(target=_serve, args=(self._tasks,), name="files", daemon=True)
            self._thread.start()
        self._tasks.put(task)  # type: ignore[arg-type]
        try:
            return task.wait(seconds)
        except TimeoutError:
            self._leave_thread()
            raise

    def run_at_expense(
        self,
        payer: str,
        work: Callable[[], T],
        seconds: float,
        discard: Callable[[T], None] = lambda _: None,
        *,
        quick: float = QUICK_SECONDS,
    ) -> T:
        """As `run`, for a container, or "" for none: what it takes beyond `quick` seconds is at its expense.

        Raises TimeoutError at once, too, while too much of it hangs, or where it has used up its share.
        """
        self.check(payer)
        began, self._payer = self._clock(), payer
        try:
            return self.run(work, seconds, discard)
        finally:
            self._payer = ""
            late = self._clock() - began - quick
            if payer and late > 0:
                self._waited.spend(payer, late)

    def check(self, payer: str = "") -> None:
        """Raise TimeoutError while too much hangs: before anything is prepared for work that would not be done."""
        self._hung = [(each, thread) for each, thread in self._hung if thread.is_alive()]
        hung_of_payer = sum(each == payer for each, _ in self._hung)
        if len(self._hung) >= self._max_hung or (payer and hung_of_payer >= MAX_HUNG_OF_CONTAINER):
            raise TimeoutError("earlier work still hangs")
        if payer and not self._waited.take(payer, 0):
            raise TimeoutError("earlier work took too long")

    def _leave_thread(self) -> None:
        """Let the thread end whenever it can: a system call that hangs can't be interrupted."""
        if self._tasks is not None and self._thread is not None:
            self._tasks.put(None)
            self._hung.append((self._payer, self._thread))
        self._tasks = self._thread = None


class _ThreadsWorker(threading.local):
    def __init__(self) -> None:
        self.worker = Worker()


_own: Final = _ThreadsWorker()


def in_time(work: Callable[[], T], discard: Callable[[T], None] = lambda _: None, *, payer: str) -> T:
    """Look into filesystems of a container, some of which may be its own, in a thread beside the calling one.

    What `work` returns or raises; raises TimeoutError where that takes too long, or did lately.
    """
    return _own.worker.run_at_expense(payer, work, LOOK_SECONDS, discard)


def _serve(tasks: queue.SimpleQueue[_Task[object] | None]) -> None:
    while (task := tasks.get()) is not None:
        task.run()
