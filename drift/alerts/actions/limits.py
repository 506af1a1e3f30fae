"""How much detail of one fingerprint is kept, and how much of the portal one cluster may take."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from drift.alerts.errors import Busy

DETAILS_PER_HOUR: Final = 1_000
"""Events of one fingerprint that a web process keeps argv and ancestors of in a clock hour. Past it an event's id
and count are kept, its detail is dropped and said to be."""
CONCURRENT_PER_CLUSTER: Final = 4
"""Batches of one cluster that a web process stores at once; the others keep its other threads."""


def clock_hour() -> int:
    """Hours since 1970: what `DETAILS_PER_HOUR` starts anew in."""
    return int(time.time() // 3_600)


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


shares: Final = Shares()
