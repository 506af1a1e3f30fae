"""Which alert an event counts to (docs/alerts.md#one-alert)."""

from __future__ import annotations

import datetime as dt

import pytest

from drift.alerts.domain.alert_snapshot import AlertSnapshot, counting_alert

START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)


def snapshot(
    pk: int,
    start: int,
    closed: int | None = None,
    snoozed: int | None = None,
    *,
    until_spread: bool = False,
) -> AlertSnapshot:
    """An alert by hours after START."""
    first_seen, closed_at, quiet_until = (None if n is None else START + n * HOUR for n in (start, closed, snoozed))
    assert first_seen is not None
    return AlertSnapshot(pk, first_seen, "none", closed_at, quiet_until, until_spread, None, None)


OPEN = snapshot(1, 10)
RESOLVED = snapshot(1, 10, closed=12)
SNOOZED = snapshot(1, 10, closed=12, snoozed=14)
UNTIL_SPREAD = snapshot(1, 10, closed=12, until_spread=True)
PREVIOUS = snapshot(2, 2, closed=4)


@pytest.mark.parametrize(
    ("current", "previous", "hour", "counting"),
    [
        (None, None, 11, None),
        (OPEN, None, 99, OPEN),
        (OPEN, None, 1, OPEN),
        (RESOLVED, None, 12, RESOLVED),
        (RESOLVED, None, 13, None),
        (SNOOZED, None, 13, SNOOZED),
        (SNOOZED, None, 14, None),
        (UNTIL_SPREAD, None, 99, UNTIL_SPREAD),
        (OPEN, PREVIOUS, 3, PREVIOUS),
        (OPEN, PREVIOUS, 5, OPEN),
        (OPEN, PREVIOUS, 11, OPEN),
        (RESOLVED, PREVIOUS, 13, None),
    ],
)
def test_an_event_counts_to_the_alert_of_its_time(
    current: AlertSnapshot | None, previous: AlertSnapshot | None, hour: int, counting: AlertSnapshot | None
) -> None:
    assert counting_alert(current, previous, START + hour * HOUR) == counting
