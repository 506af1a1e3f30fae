"""How many alerts one sensor and one container may open, before further new files are counted in one alert.

A container spends its own budget and its sensor's. The second half of the sensor's is kept for the first FIRST alerts
of each container: a few containers that flood cannot silence the others on the node.
"""

from __future__ import annotations

import datetime as dt
import uuid
from dataclasses import dataclass, field
from typing import Final

from drift.alerts.domain.fingerprints import digest

WINDOW: Final = dt.timedelta(hours=1)
"""A budget starts again after this long; one that was exceeded, after this long without a further new file."""
FIRST: Final = 10
"""Alerts of a container that may use the second half of its sensor's budget."""
SENSOR: Final = ""
"""In place of a container's id: the sensor itself."""
_LAST: Final = b"\xff" * 8


@dataclass
class SpentBudget:
    """One row of models.AlertBudget."""

    opened: int
    window_at: dt.datetime
    flooding_since: dt.datetime | None = None
    excess_at: dt.datetime | None = None

    def is_over(self, now: dt.datetime) -> bool:
        """Return whether its time has passed, so that a new one begins."""
        return now - (self.excess_at or self.window_at) >= WINDOW

    def note_excess(self, now: dt.datetime) -> None:
        """Record a new file that got no alert of its own."""
        self.flooding_since = self.flooding_since or now
        self.excess_at = now


@dataclass
class SensorBudgets:
    """The budgets of a sensor and of the containers of a batch, while the batch spends them."""

    per_sensor: int
    per_container: int
    now: dt.datetime
    rows: dict[str, SpentBudget] = field(default_factory=dict)

    def flood(self, container_id: str) -> str | None:
        """Spend one alert of the container; where its budget is used up return whose it is: the container's or SENSOR.

        A container without an id spends the sensor's budget alone.
        """
        sensor, container = self._row(SENSOR), self._row(container_id)
        if container_id != SENSOR and container.opened >= self.per_container:
            container.note_excess(self.now)
            return container_id
        is_first = container_id != SENSOR and container.opened < FIRST
        if sensor.opened >= (self.per_sensor if is_first else self.per_sensor // 2):
            sensor.note_excess(self.now)
            return SENSOR
        sensor.opened += 1
        if container_id != SENSOR:
            container.opened += 1
        return None

    def _row(self, key: str) -> SpentBudget:
        row = self.rows.get(key)
        if row is None or row.is_over(self.now):
            row = self.rows[key] = SpentBudget(0, self.now)
        return row


def flood_fingerprint(sensor_id: uuid.UUID, container_id: str) -> uuid.UUID:
    """Return the fingerprint of the one alert that counts what exceeds a budget; `container_id` may be SENSOR.

    It sorts behind all others: alerts are locked in fingerprint order, and that this one is needed shows last.
    """
    return uuid.UUID(bytes=_LAST + digest("flood", str(sensor_id), container_id).bytes[:8])
