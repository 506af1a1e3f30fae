"""Pauses between retries, with jitter: a fleet that lost its portal at one moment must not return at one moment."""

from __future__ import annotations

import random


class Backoff:
    """The pause before the next try: doubled after each failure, up to a limit."""

    def __init__(self, first: float = 1.0, longest: float = 60.0) -> None:
        """Start at `first` seconds and end at `longest`."""
        self._first, self._longest = first, longest
        self._failures = 0

    def next(self, retry_after: float | None = None) -> float:
        """Return the seconds to wait now; never less than the `Retry-After` that the portal sent."""
        longest = min(self._longest, self._first * 2 ** min(self._failures, 30))
        self._failures += 1
        return (retry_after or 0.0) + jittered(longest, 0.5)

    def reset(self) -> None:
        """Start over: a call succeeded."""
        self._failures = 0


def jittered(seconds: float, share: float) -> float:
    """Return a random time from `seconds` less that share of it, up to `seconds`."""
    return seconds * (1 - share * random.random())  # noqa: S311 - spreads load, guards nothing
