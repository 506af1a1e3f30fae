"""How much detail of one fingerprint is kept, and how much of the portal one cluster may take."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final

from redis import RedisError

from drift.alerts.domain.fingerprints import FingerprintCounter
from drift.alerts.errors import Busy
from drift.fleet.actions import notify_gateway as gateway

logger = logging.getLogger(__name__)

DETAILS_PER_HOUR: Final = 1_000
"""Events of one fingerprint of which argv and ancestors are kept in a clock hour. Past it an event's id and count are
kept, its detail is dropped and said to be."""
SHARED_FROM: Final = 100
"""What a process has met so often in an hour it counts together with the others, in Redis. So of one fingerprint all
processes together keep DETAILS_PER_HOUR, at most SHARED_FROM more for each further process, and what they store at the
same moment; nearly every fingerprint costs Redis nothing, and one past the limit nothing any more."""
KEY: Final = "driftwatch:details:{hour}:{fingerprint}"
PAUSE: Final = 30.0
"""Seconds without Redis after it failed: until then each process counts alone."""
CONCURRENT_PER_CLUSTER: Final = 4
"""Batches of one cluster that a web process stores at once; the others keep its other threads."""


def clock_hour() -> int:
    """Hours since 1970: what `DETAILS_PER_HOUR` starts anew in."""
    return int(time.time() // 3_600)


class Others:
    """The counts of the other processes, by way of Redis."""

    def __init__(self) -> None:
        self._again_at = 0.0

    def share(self, hour: int, hot: list[FingerprintCounter]) -> None:
        """Add what is untold of each, and learn what all of them have. Where Redis is away, nothing changes."""
        if not hot or time.monotonic() < self._again_at:
            return
        names = [KEY.format(hour=hour, fingerprint=series.fingerprint) for series in hot]
        try:
            with gateway.redis_client().pipeline(transaction=False) as pipe:
                for name, series in zip(names, hot, strict=True):
                    pipe.incrby(name, series.take_untold())
                    pipe.expire(name, 7_200)
                totals = pipe.execute()[::2]
        except RedisError as error:
            self._again_at = time.monotonic() + PAUSE
            logger.warning("details are counted by each process alone for a while: %s", type(error).__name__)
            return
        for series, total in zip(hot, totals, strict=True):
            series.learn(hour, total)


others: Final = Others()


def spend(stored: Iterable[FingerprintCounter], limit: int) -> None:
    """Count what was stored, by its series; what was not has used up nothing."""
    hour = clock_hour()
    hot = []
    for series, count in Counter(stored).items():
        is_open = series.seen(hour) < limit
        series.count(hour, count)
        if is_open and series.seen(hour) >= SHARED_FROM:
            hot.append(series)
    others.share(hour, hot)


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
