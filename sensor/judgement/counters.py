"""Counters of a node's execs."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sensor.wire import MonitoringGap


@dataclasses.dataclass
class CaptureCounters:
    """Counts since a backend was opened.

    `execs` in containers, `drifted` of them, `unresolved` drifted ones whose container is unknown. `lost` counts
    execs without an event, by cause, such as "ring" for a full ring buffer. `unknown` counts events of which
    something could no longer be learned: "argv", or all of the "process". `gaps` are the containers that run now and
    are not monitored in full.
    """

    execs: int = 0
    drifted: int = 0
    unresolved: int = 0
    lost: dict[str, int] = dataclasses.field(default_factory=dict)
    unknown: dict[str, int] = dataclasses.field(default_factory=dict)
    gaps: tuple[MonitoringGap, ...] = ()
