"""Thresholds from which a sensor's state counts as trouble."""

from __future__ import annotations

import datetime as dt
from typing import Final

OFFLINE_AFTER: Final = dt.timedelta(minutes=3)
"""Three missed heartbeats: a sensor sends one a minute."""
LONG_SILENCE: Final = dt.timedelta(minutes=15)
"""Of a sensor that a recreated node replaces while no other sensor reports either."""
RECREATED_WITHIN: Final = dt.timedelta(days=1)
"""How long a node that another machine took over is shown."""
CANARY_INTERVAL: Final = dt.timedelta(hours=1)
"""Between two canaries of a sensor (docs/proof.md)."""
UNPROVEN_AFTER: Final = 2 * CANARY_INTERVAL + dt.timedelta(minutes=10)
"""Two missed canaries, and the time that one may take to arrive."""
LAGGING_AFTER: Final = dt.timedelta(minutes=30)
"""Every sensor polls every five minutes, so by then it has polled several times."""
RECENT_LOSSES: Final = dt.timedelta(hours=1)
SHARED_RETURNS: Final = 3
"""A replaced process that is seen again so often is not a late request of one that was just restarted."""
SHARED_WITHIN: Final = dt.timedelta(hours=1)
"""Between two returns at most, and how long the notice stays after the last."""
