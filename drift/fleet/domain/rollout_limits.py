"""The limits at which a rollout in waves halts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MIN_ALERTS: Final = 10
"""Fewer alerts do not count as evidence against a version."""


@dataclass(frozen=True)
class AlertRate:
    """Alerts of the sensors that run a version, repeated alerts once a minute, over the hours they run it together."""

    sensors: int
    alerts: int
    hours: float
    alerts_before: int
    """Of the same sensors, in the hour before the version was saved."""

    def hourly(self) -> float:
        """Alerts per hour and sensor on the version."""
        return self.alerts / self.hours if self.hours else 0.0

    def hourly_before(self) -> float:
        """Alerts per hour and sensor before the version."""
        return self.alerts_before / self.sensors if self.sensors else 0.0

    def exceeds(self, multiple: int) -> bool:
        """Return whether the rate grew to more than `multiple` times the rate before."""
        # One alert is added to those before: without any, a single alert would exceed every multiple.
        allowed = multiple * (self.alerts_before + 1) / max(self.sensors, 1)
        return self.alerts >= MIN_ALERTS and self.hourly() > allowed


def exceeds_rejections(rejected: int, notified: int, percent: int) -> bool:
    """Return whether more than `percent` of the notified sensors rejected the version."""
    return rejected * 100 > notified * percent
