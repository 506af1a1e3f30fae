"""What workers record of the tasks that they ran, in Redis."""

from __future__ import annotations

from typing import Final

ENDED_AT: Final = "driftwatch:tasks:ended"
"""Hash: a task's name to Redis's time when it last ended successfully."""
ENDED: Final = "driftwatch:tasks:succeeded"
FAILED: Final = "driftwatch:tasks:failed"
"""Hashes: a task's name to how often it ended, and how often with an error."""
SECONDS: Final = "driftwatch:tasks:seconds"
"""Hash: a task's name to the seconds that it took in all."""
OVERDUE_PERIODS: Final = 3
OVERDUE_EXTRA: Final = 60.0


def overdue_tasks(periods: dict[str, float], ended: dict[str, float], now: float, reference: float) -> dict[str, float]:
    """Return the scheduled tasks that are overdue, with the seconds since each last ended.

    `periods`: seconds between two runs of each. A task that never ended counts from `reference`: when recording began;
    so does one that ended in the future, before Redis's clock was set back.
    """
    known = {name: at for name, at in ended.items() if at <= now + OVERDUE_EXTRA}
    silent = {name: now - known.get(name, reference) for name in periods}
    return {name: age for name, age in silent.items() if age > OVERDUE_PERIODS * periods[name] + OVERDUE_EXTRA}
