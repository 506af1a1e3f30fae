"""A worker that forwards to one destination until it is killed: `python -m tests.unit.drift.siem.kill_sender ID`."""

from __future__ import annotations

import datetime as dt
import sys
import time

import django


def main(pk: int) -> None:
    django.setup()
    from drift.siem.actions import forward

    # What a killed sender leaves behind, and the pause after a receiver's death, need not last a minute here.
    forward.CLAIM, forward.LONGEST_PAUSE = dt.timedelta(seconds=2), 0  # type: ignore[misc]
    while True:
        if not forward.forward(pk):
            time.sleep(0.05)


if __name__ == "__main__":
    main(int(sys.argv[1]))
