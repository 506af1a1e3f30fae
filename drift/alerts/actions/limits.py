"""How much detail of one fingerprint is kept, and how much of the portal one cluster may take."""

from __future__ import annotations

import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from drift.alerts.errors import Busy

DETAILS_PER_HOUR: Final = 1_000
"""Events of one fingerprint that a web process keeps argv and ancestors of in an hour."""
REMEMBERED: Final = 65_536
WINDOW: Final = 3_600.0
CONCURRENT_PER_CLUSTER: Final = 4
"""Batches of one cluster that a web process stores at once; the others keep its other threads."""


class DetailLimit:
    """Per fingerprint and hour: past it an event's id and count are kept, its detail is dropped and said to be."""

    def __init__(self, per_hour: int = DETAILS_PER_HOUR) -> None:
        self.per_hour = per_hour
        self._window = 0
        self._seen: Counter[uuid.UUID] = Counter()

    def admit(self, fingerprint: uuid.UUID) -> bool:
        """Whether one more event of this fingerprint keeps its detail.

        Two threads may both count the last one: the limit is for the disk's sake, one more does no harm.
        """
        window = int(time.time() // WINDOW)
        if window != self._window or len(self._seen) > REMEMBERED:
            self._window, self._seen = window, Counter()
        self._seen[fingerprint] += 1
        return self._seen[fingerprint] <= self.per_hour


class Shares:
    """A flood from one cluster must not take every thread: past its share a cluster is told to come again."""

    def __init__(self, share: int = CONCURRENT_PER_CLUSTER) -> None:
        self.share = share
        self._lock = threading.Lock()
        self._running: Counter[int] = Counter()

    @contextmanager
    def hold(self, cluster_id: int) -> Iterator[None]:
        """Count a batch of the cluster while it is stored. Raises Busy (429)."""
        with self._lock:
            if self._running[cluster_id] >= self.share:
                raise Busy
            self._running[cluster_id] += 1
        try:
            yield
        finally:
            with self._lock:
                self._running[cluster_id] -= 1
                if not self._running[cluster_id]:
                    del self._running[cluster_id]


details: Final = DetailLimit()
shares: Final = Shares()
