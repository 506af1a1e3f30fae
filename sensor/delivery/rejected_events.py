"""Events that the portal rejected for their content, kept on disk for an administrator, within a bound."""

from __future__ import annotations

import datetime as dt
import os
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from pathlib import Path

MAX_BYTES: Final = 8 * 1024 * 1024
"""Size of one file. The previous one is kept beside it, so this twice at most."""


class RejectedEvents:
    """The file `set-aside.jsonl`: one line per event, `{"at", "code", "field", "message", "event"}`, newest last."""

    def __init__(self, path: Path, max_bytes: int = MAX_BYTES) -> None:
        self._path, self._max_bytes = path, max_bytes
        self.count = 0
        """Events rejected since the sensor started."""
        self.unkept = 0
        """Of them, those that could not be written."""

    def add(self, event: bytes, code: str, field: str | None, message: str) -> None:
        """Keep one rejected event (its JSON) durably; a failing disk is counted and must not stop the upload."""
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
        # Events show what runs on the node: readable by root alone, whatever the directory's mode allows.
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "ab") as file:
            os.fchmod(descriptor, 0o600)  # a file that an earlier version created may be more open
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
