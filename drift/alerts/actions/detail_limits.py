"""Rate limits per fingerprint: past them events keep their id and count, and lose their detail.

Web processes count together through Redis. Without Redis each counts alone, and ingest goes on.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Iterable
from typing import Final

from redis import RedisError

from drift import queue
from drift.alerts.domain.enriched_events import EnrichedEvent
from drift.alerts.domain.fingerprint_counters import FingerprintCounter

logger = logging.getLogger(__name__)

DETAILS_PER_HOUR: Final = 1_000
"""Events of one fingerprint whose argv and ancestors are kept in a clock hour."""
SHARED_FROM: Final = 100
"""Events of a fingerprint in an hour from which a process shares its count. So all processes together keep
DETAILS_PER_HOUR, and per further process at most SHARED_FROM more and what it stores at that moment; nearly every
fingerprint costs Redis nothing, nor does one that is past the limit."""
KEY: Final = "driftwatch:details:{hour}:{fingerprint}"
KEY_SECONDS: Final = 7_200
"""Keys outlive their hour, for processes whose clocks differ."""
PAUSE: Final = 30.0
"""Seconds without Redis after it failed, so that its timeout is not added to every batch."""


def clock_hour() -> int:
    """Return the hours since 1970. The limit starts again with each."""
    return int(time.time() // 3_600)


class SharedCounts:
    """The counts of all processes, kept in Redis."""

    def __init__(self) -> None:
        self._retry_at = 0.0

    def exchange(self, hour: int, counters: list[FingerprintCounter]) -> None:
        """Report what each counter has not reported yet, and set its total. Changes nothing where Redis is away."""
        if not counters or time.monotonic() < self._retry_at:
            return
        keys = [KEY.format(hour=hour, fingerprint=counter.fingerprint) for counter in counters]
        try:
            with queue.redis_client().pipeline(transaction=False) as pipe:
                for key, counter in zip(keys, counters, strict=True):
                    pipe.incrby(key, counter.take_unshared())
                    pipe.expire(key, KEY_SECONDS)
                totals = pipe.execute()[::2]
        except RedisError as error:
            self._retry_at = time.monotonic() + PAUSE
            logger.warning("rate limits are counted per process for now: %s", error)
            return
        for counter, total in zip(counters, totals, strict=True):
            counter.set_total(hour, total)


shared_counts: Final = SharedCounts()


def drop_excess_details(events: list[EnrichedEvent]) -> None:
    """Mark the events past their fingerprint's limit for this hour: they are stored without detail."""
    hour, limit = clock_hour(), DETAILS_PER_HOUR
    counts = Counter([each.counter for each in events])
    past = {counter for counter, count in counts.items() if not counter.admits(hour, count, limit)}
    if not past:
        return
    positions: Counter[FingerprintCounter] = Counter()
    for each in events:
        if each.counter in past:
            positions[each.counter] += 1
            each.keep_detail = each.counter.admits(hour, positions[each.counter], limit)


def count_stored(counters: Iterable[FingerprintCounter], limit: int) -> None:
    """Count events that were stored, one counter each. Called after the commit: a failed batch uses up nothing."""
    hour = clock_hour()
    shared = []
    for counter, count in Counter(counters).items():
        is_below_limit = counter.stored(hour) < limit
        counter.add(hour, count)
        if is_below_limit and counter.stored(hour) >= SHARED_FROM:
            shared.append(counter)
    shared_counts.exchange(hour, shared)
