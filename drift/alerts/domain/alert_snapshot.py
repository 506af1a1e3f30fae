"""The rule by which an existing alert counts events (docs/alerts.md#one-alert)."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass


@dataclass(frozen=True)
class AlertSnapshot:
    """The columns of an alert, named as in models.Alert, that decide which events it counts."""

    id: int
    first_seen: dt.datetime
    outcome: str
    closed_at: dt.datetime | None
    """None exactly while the alert is open (constraint `verdict_fits_status`)."""
    quiet_until: dt.datetime | None
    until_spread: bool
    previous_id: int | None
    suppressed_by_id: int | None

    def counts(self, observed_at: dt.datetime) -> bool:
        """Return whether an event of that time adds to this alert's count instead of opening a new alert.

        An open alert counts every event. A closed one counts those observed before it was closed (the sensor was
        offline), and a dismissed one also those observed during its snooze.
        """
        if self.closed_at is None or observed_at <= self.closed_at:
            return True
        return self.until_spread if self.quiet_until is None else observed_at < self.quiet_until


def counting_alert(
    current: AlertSnapshot | None, previous: AlertSnapshot | None, observed_at: dt.datetime
) -> AlertSnapshot | None:
    """Return the alert that counts an event of that time; None where it opens a new one.

    An event that arrives late counts to the alert that would have counted it on time: the one before the current
    alert, where that one had not been closed yet.
    """
    if current is None:
        return None
    if previous is not None and observed_at < current.first_seen and previous.counts(observed_at):
        return previous
    return current if current.counts(observed_at) else None
