"""How many events may be sent one by one; the rest is aggregated (docs/sensor.md#what-it-reports)."""

from __future__ import annotations

import hashlib
import time
from collections import Counter

import msgspec

from sensor import wire


class EventRateLimits:
    """Counts the events of the current minute, per fingerprint and per container."""

    def __init__(self, per_fingerprint: int, per_container: int) -> None:
        """Set both limits in events per minute."""
        self._per_fingerprint, self._per_container = per_fingerprint, per_container
        self._seen: Counter[bytes] = Counter()
        self._minute_ends = 0.0

    def allow(self, event: wire.Event) -> bool:
        """Count an event; returns whether it is within both limits and is sent as it is."""
        now = time.monotonic()
        if now >= self._minute_ends:
            self._seen.clear()
            self._minute_ends = now + 60.0
        container = event.container.id.encode()
        return self._take(fingerprint(event), self._per_fingerprint) and self._take(container, self._per_container)

    def _take(self, key: bytes, limit: int) -> bool:
        self._seen[key] += self._seen[key] < limit + 1
        return self._seen[key] <= limit


def fingerprint(event: wire.Event) -> bytes:
    """Return the key of one portal alert, with the action: alerts never use up the limit of blocks."""
    container, process = event.container, event.process
    action = event.decision.action if event.decision else None
    facts = [container.namespace, container.owner, container.name, process.path, process.sha256, action]
    return hashlib.blake2b(msgspec.json.encode(facts), digest_size=16).digest()
