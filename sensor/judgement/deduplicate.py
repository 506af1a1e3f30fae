"""What two backends saw is reported once.

Where a better backend takes over, the two overlap; and an earlier sensor's kernel program that stayed attached has
filled its ring all the while that the fallback captured.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Final

from sensor.container.recent import Recent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sensor.wire import Event

MAX_REPORTED: Final = 16_384
"""As many as a ring that nobody reads can hold."""
MAX_OF_ONE: Final = 64
APART: Final = dt.timedelta(seconds=10)
"""The fallback tells of an exec when it reads of it, and a busy node may keep it waiting."""
_Key = tuple[int | None, str, int]


class Reported:
    """The execs that the fallback reported, by process, kind and path: times and ids differ. For one thread."""

    def __init__(self) -> None:
        self._times: Recent[_Key, list[dt.datetime]] = Recent(MAX_REPORTED)

    def note(self, events: Sequence[Event]) -> None:
        """These were reported."""
        for event in events:
            times = self._times.get(_key(event)) or []
            self._times.put(_key(event), [*times[1 - MAX_OF_ONE :], event.observed_at])

    def new_of(self, events: Sequence[Event]) -> list[Event]:
        """Those that were not; each that was is left out once."""
        return [event for event in events if not self._take(event)]

    def _take(self, event: Event) -> bool:
        times = self._times.get(_key(event)) or []
        same = next((time for time in times if abs(time - event.observed_at) < APART), None)
        if same is None:
            return False
        times.remove(same)
        return True


def _key(event: Event) -> _Key:
    # Not the path itself: 16,384 of the longest take a quarter of what the sensor may have.
    return event.process.pid, event.kind, hash(event.process.path)
