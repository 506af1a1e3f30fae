"""The clock of one program, stepped while it runs, by libfaketime."""

from __future__ import annotations

from pathlib import Path

import pytest

LIBRARIES = [*Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")]


class SteppedClock:
    """What is added to a program's environment, and how its clock is stepped then."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.step(0)
        self.env = (
            {
                "LD_PRELOAD": str(LIBRARIES[0]),
                "FAKETIME_TIMESTAMP_FILE": str(file),
                "FAKETIME_NO_CACHE": "1",
                "FAKETIME_DONT_FAKE_MONOTONIC": "1",
                "FAKETIME_DISABLE_SHM": "1",
            }
            if LIBRARIES
            else {}
        )

    def step(self, seconds: int) -> None:
        """Let the clock be so many seconds ahead of this machine's; behind it for a negative number."""
        changed = self._file.with_suffix(".new")
        changed.write_text(f"{seconds:+d}\n")
        changed.rename(self._file)


def needs_library() -> None:
    if not LIBRARIES:
        pytest.skip("needs libfaketime, to step a program's clock")
