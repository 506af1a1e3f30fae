"""Credentials that the application has accepted lately, so that not every large body is preceded by a preflight."""

from __future__ import annotations

import hashlib
import time
from collections.abc import MutableMapping
from typing import Any, Final

KNOWN_SECONDS: Final = 300.0
MAX_KNOWN: Final = 20_000


class KnownCallers:
    """Requests' method, path and Authorization, as digests. Whoever has none, such as a browser, is never known.

    It decides only how much is read before the application is called, which authenticates every request anyway.
    """

    def __init__(self, seconds: float = KNOWN_SECONDS) -> None:
        self._seconds = seconds
        self._until: dict[bytes, float] = {}

    def has(self, scope: MutableMapping[str, Any]) -> bool:
        """Return whether the application accepted this credential at this URL lately."""
        key = _key(scope)
        return key is not None and self._until.get(key, 0.0) > time.monotonic()

    def add(self, scope: MutableMapping[str, Any]) -> None:
        """Remember a request's credential; the one that was added first makes room."""
        if (key := _key(scope)) is None:
            return
        self._until.pop(key, None)
        if len(self._until) >= MAX_KNOWN:
            del self._until[next(iter(self._until))]
        self._until[key] = time.monotonic() + self._seconds

    def remove(self, scope: MutableMapping[str, Any]) -> None:
        """Forget a credential that is no longer accepted."""
        if (key := _key(scope)) is not None:
            self._until.pop(key, None)


def _key(scope: MutableMapping[str, Any]) -> bytes | None:
    credentials = [value for name, value in scope["headers"] if name == b"authorization"]
    if not credentials:
        return None
    # A digest: this process keeps no sensor's secret.
    parts = (scope["method"].encode(), scope["raw_path"], *credentials)
    return hashlib.blake2b(b"\n".join(parts), digest_size=16).digest()
