"""Work that may hang for ever, such as a read from a network volume whose server is gone, done under a deadline."""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING, Final, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

MOST_HUNG: Final = 4
"""Threads that may hang at once; while they do, nothing more is tried."""


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
    """Runs one thing at a time in a thread of its own; one that hangs is left behind for a new thread."""

    def __init__(self, most_hung: int = MOST_HUNG) -> None:
        self._most_hung = most_hung
        self._hung: list[threading.Thread] = []
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

    def check(self) -> None:
        """Raises TimeoutError while too much hangs: before something is made ready for work that would not be done."""
        self._hung = [thread for thread in self._hung if thread.is_alive()]
        if len(self._hung) >= self._most_hung:
            raise TimeoutError("earlier work still hangs")

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
            self._hung.append(self._thread)
        self._tasks = self._thread = None


def _serve(tasks: queue.SimpleQueue[_Task[object] | None]) -> None:
    while (task := tasks.get()) is not None:
        task.run()
