"""Work that may hang for ever, such as a read from a network volume whose server is gone, done under a deadline."""

from __future__ import annotations

import queue
import threading
import time
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from sensor.files.budget import Budget

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

MOST_HUNG: Final = 32
"""Threads that may hang at once; while they do, nothing more is tried."""
MOST_OF_ONE: Final = 2
"""The same of one container: what it makes hang must not keep others from being looked at."""
LOOK_SECONDS: Final = 1.0
QUICK_SECONDS: Final = 0.02
WAITED_AT_ONCE: Final = 20.0
WAITED_PER_SECOND: Final = 0.1
"""Seconds that a container may be waited for beyond quick answers; more is refused, lest others wait for it too."""


class _Task(Generic[T]):
    def __init__(self, work: Callable[[], T], discard: Callable[[T], None]) -> None:
        self._work, self._discard = work, discard
        self._lock = threading.Lock()
        self._done = threading.Event()
        self._abandoned = False
        self._result: T | None = None
        self._error: BaseException | None = None

    def run(self) -> None:
        """In the worker's thread; what nobody waits for any more is let go."""
        try:
            result = self._work()
        except Exception as error:  # noqa: BLE001 - raised where it is waited for
            self._error = error
        else:
            with self._lock:
                if not self._abandoned:
                    self._result = result
            if self._abandoned:
                self._discard(result)
        self._done.set()

    def wait(self, seconds: float) -> T:
        """The result, or what the work raised; TimeoutError after so many seconds."""
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

    def __init__(self, most_hung: int = MOST_HUNG, clock: Callable[[], float] = time.monotonic) -> None:
        self._most_hung, self._clock = most_hung, clock
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
        tasks = self._queue()
        tasks.put(task)  # type: ignore[arg-type]
        try:
            return task.wait(seconds)
        except TimeoutError:
            self._leave()
            raise

    def run_for(
        self,
        payer: str,
        work: Callable[[], T],
        seconds: float,
        discard: Callable[[T], None] = lambda _: None,
        *,
        quick: float = QUICK_SECONDS,
    ) -> T:
        """As `run`, for a container, "" for nobody: what it takes beyond `quick` seconds is at its expense.

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
        """Raises TimeoutError while too much hangs: before something is made ready for work that would not be done."""
        self._hung = [(each, thread) for each, thread in self._hung if thread.is_alive()]
        of_payer = sum(each == payer for each, _ in self._hung)
        if len(self._hung) >= self._most_hung or (payer and of_payer >= MOST_OF_ONE):
            raise TimeoutError("earlier work still hangs")
        if payer and not self._waited.take(payer, 0):
            raise TimeoutError("earlier work took too long")

    def _queue(self) -> queue.SimpleQueue[_Task[object] | None]:
        if self._tasks is None:
            self._tasks = queue.SimpleQueue()
            self._thread = threading.Thread(target=_serve, args=(self._tasks,), name="files", daemon=True)
            self._thread.start()
        return self._tasks

    def _leave(self) -> None:
        """Let the thread end whenever it can."""
        if self._tasks is not None and self._thread is not None:
            self._tasks.put(None)
            self._hung.append((self._payer, self._thread))
        self._tasks = self._thread = None


class _Own(threading.local):
    def __init__(self) -> None:
        self.worker = Worker()


_own: Final = _Own()


def in_time(work: Callable[[], T], discard: Callable[[T], None] = lambda _: None, *, payer: str) -> T:
    """Look into filesystems of a container, of which some may be its own, in a thread beside the calling one's.

    What `work` returns or raises; raises TimeoutError where that takes too long, or did of late.
    """
    return _own.worker.run_for(payer, work, LOOK_SECONDS, discard)


def _serve(tasks: queue.SimpleQueue[_Task[object] | None]) -> None:
    while (task := tasks.get()) is not None:
        task.run()
