"""One set of files per web process that runs, instead of one per process that ever ran.

Prometheus's library keeps each process's counters in files named for it, and a scrape adds all of them. Named for pids
they would grow with every restart. A process takes the first slot that no other holds, and goes on with its counts.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import IO

from prometheus_client import values

MAX_SLOTS = 256
_held: list[IO[bytes]] = []


def use_slot() -> None:
    """Let the metrics of this process live in a slot; call it before the first metric is made."""
    slot = _take(Path(os.environ["PROMETHEUS_MULTIPROC_DIR"]))
    values.ValueClass = values.MultiProcessValue(lambda: slot)  # type: ignore[no-untyped-call]


def _take(directory: Path) -> str:
    for number in range(MAX_SLOTS):
        file = (directory / f"slot-{number}.lock").open("wb")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.close()
            continue
        _held.append(file)
        return f"slot{number}"
    raise OSError(f"{directory}: all {MAX_SLOTS} slots for metrics are taken")
