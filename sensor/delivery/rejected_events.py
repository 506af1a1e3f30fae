"""Events that the portal refused for what they hold: kept for a person to look at, bounded."""

from __future__ import annotations

import datetime as dt
import os
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from pathlib import Path

MAX_BYTES: Final = 8 * 1024 * 1024
"""Of one file; the one before is kept beside it, so twice this at most."""


class RejectedEvents:
    """`set-aside.jsonl`: one line an event, `{"at", "code", "field", "message", "event"}`, newest last."""

    def __init__(self, path: Path, max_bytes: int = MAX_BYTES) -> None:
        self._path, self._max_bytes = path, max_bytes
        self.count = 0
        """Since the sensor started."""
        self.unkept = 0
        """Of them, how many the disk could not take."""

    def add(self, event: bytes, code: str, field: str | None, message: str) -> None:
        """Keep one refused event (its JSON) durably. A disk that can't take it must not stop the rest."""
        self.count += 1
        line = msgspec.json.encode(
            {
                "at": dt.datetime.now(dt.UTC),
                "code": code,
                "field": field,
                "message": message,
                "event": msgspec.Raw(event),
            }
        )
        try:
            self._append(line + b"\n")
        except OSError:
            self.unkept += 1

    def _append(self, line: bytes) -> None:
        if self._path.exists() and self._path.stat().st_size + len(line) > self._max_bytes:
            self._path.replace(self._path.with_name("set-aside.1.jsonl"))
        # Events tell what runs here: nobody else reads them, whatever the folder's mode lets through.
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "ab") as file:
            os.fchmod(descriptor, 0o600)  # one that an earlier version made
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
