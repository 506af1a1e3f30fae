"""Why an exec has no event, or an event lacks a fact: the causes that a heartbeat may count (docs/sensor.md#counters).

Metrics have a series of each from the start: the first loss of a series that appears with it is invisible to
`increase()`.
"""

from __future__ import annotations

from typing import Final

LOSS_CAUSES: Final = (
    "backend",
    "connector",
    "container_gone",
    "error",
    "file_gone",
    "layers_unreadable",
    "opened_unseen",
    "process_gone",
    "queue",
    "reads_unseen",
    "record",
    "ring",
    "root_unknown",
    "set_aside",
    "spool_broken",
    "spool_full",
    "unreadable",
)
UNKNOWN_FACTS: Final = ("argv", "process", "exec_history")
