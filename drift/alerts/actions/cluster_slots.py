"""How many batches of one cluster a web process stores at once."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from drift.alerts.errors import Busy

SLOTS_PER_CLUSTER: Final = 4
"""Fewer than a web process has threads, so a flood from one cluster leaves threads to the others."""


class ClusterSlots:
    """Slots of each cluster, shared by the threads of a process."""

    def __init__(self, slots: int = SLOTS_PER_CLUSTER) -> None:
        self.slots = slots
        self._lock = threading.Lock()
        self._taken: Counter[int] = Counter()

    @contextmanager
    def hold(self, cluster_id: int) -> Iterator[None]:
        """Hold a slot of the cluster. Raises Busy (429) at once where all are taken: the sensor retries later."""
        with self._lock:
            if self._taken[cluster_id] >= self.slots:
                raise Busy
            self._taken[cluster_id] += 1
        try:
            yield
        finally:
            with self._lock:
                self._taken[cluster_id] -= 1
                if not self._taken[cluster_id]:
                    del self._taken[cluster_id]  # or clusters that are gone would be kept for ever


cluster_slots: Final = ClusterSlots()
