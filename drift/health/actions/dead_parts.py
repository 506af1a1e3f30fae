"""What is dead of the parts that distribute a version: the banner of pages where versions are saved."""

from __future__ import annotations

import math
import time
from typing import Final

from drift.health.actions.portal_checks import redis_checks
from drift.health.actions.readiness import pending_check
from drift.health.domain.conditions import BY_CODE, Condition
from drift.health.domain.outcomes import CheckOutcome

DISTRIBUTE: Final = ("redis", "worker", "beat", "gateway")
"""Without these a saved version does not reach sensors as it should."""
WAIT_SECONDS: Final = 0.1
"""More than Redis takes, less than whoever opens a page notices."""
KEPT_SECONDS: Final = 10.0
_Found = dict[str, CheckOutcome]
_last: tuple[float, _Found] = (-math.inf, {})
"""When this process looked last, and what it found."""


def dead_parts() -> list[tuple[Condition, CheckOutcome]]:
    """Return what is dead now, however long Redis takes."""
    return _dead(pending_check("banner", _look).result())


def dead_parts_at_once() -> list[tuple[Condition, CheckOutcome]] | None:
    """Return what is dead, for a page, which must not wait for a Redis that hangs.

    Then it is what this process found within the last KEPT_SECONDS, since the banners of open pages poll; None where
    it found nothing.
    """
    try:
        return _dead(pending_check("banner", _look).result(WAIT_SECONDS))
    except TimeoutError:
        looked_at, found = _last
        return _dead(found) if time.monotonic() - looked_at < KEPT_SECONDS else None


def _look() -> _Found:
    global _last  # noqa: PLW0603 - one assignment, which needs no lock
    found = redis_checks()
    _last = time.monotonic(), found
    return found


def _dead(found: _Found) -> list[tuple[Condition, CheckOutcome]]:
    return [(BY_CODE[code], found[code]) for code in DISTRIBUTE if found[code].state == "failing"]
