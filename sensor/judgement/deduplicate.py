"""Report an exec once where two backends saw it.

The two overlap when a better backend takes over. And an earlier sensor's kernel program that stayed attached has
filled its ring while the fallback captured.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Final

from sensor.container.recent import Recent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sensor.wire import Event

MAX_REPORTED: Final = 16_384
"""As many as a ring that is not read can hold."""
MAX_TIMES: Final = 64
"""Execs of one process, kind and path that are remembered."""
TOLERANCE: Final = dt.timedelta(seconds=10)
"""The fallback dates an exec when it reads of it, and a busy node may keep it waiting."""
_Key = tuple[int | None, str, int]


class ReportedExecs:
    """The execs that the fallback reported, by process, kind and path: times and ids differ. For one thread."""

    def __init__(self) -> None:
        self._times: Recent[_Key, list[dt.datetime]] = Recent(MAX_REPORTED)

    def note(self, events: Sequence[Event]) -> None:
        """Remember that these were reported."""
        for event in events:
            times = self._times.get(_key(event)) or []
            self._times.put(_key(event), [*times[1 - MAX_TIMES :], event.observed_at])

    def without_reported(self, events: Sequence[Event]) -> list[Event]:
        """Return the events that were not reported before; each that was is left out once."""
        return [event for event in events if not self._take(event)]

    def _take(self, event: Event) -> bool:
        times = self._times.get(_key(event)) or []
        same = next((time for time in times if abs(time - event.observed_at) < TOLERANCE), None)
        if same is None:
            return False
        times.remove(same)
        return True


def _key(event: Event) -> _Key:
    # The path's hash, not the path: 16,384 of the longest paths take a quarter of the sensor's memory limit.
    return event.process.pid, event.kind, hash(event.process.path)
