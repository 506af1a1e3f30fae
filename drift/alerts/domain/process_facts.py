"""A stored event's process, in the form that pages show."""

from __future__ import annotations

import datetime as dt
import shlex
from typing import Any


def command_line(process: dict[str, Any]) -> str:
    """Return argv as it would be typed in a shell."""
    line = shlex.join(process.get("argv") or [process["path"]])
    return f"{line} …" if process.get("argv_truncated") else line


def ancestry(process: dict[str, Any]) -> list[tuple[str, int | None]]:
    """Return (name, pid) from the oldest known ancestor down to the process itself."""
    steps = [(each["name"], each["pid"]) for each in reversed(process.get("ancestors") or [])]
    if parent := process.get("parent"):
        # Some sensors name the parent among the ancestors too.
        steps = [step for step in steps if step[1] != parent["pid"]] + [(parent["name"], parent["pid"])]
    return [*steps, (process["name"], process.get("pid"))]


def file_age(event: dict[str, Any]) -> str:
    """Return how long before the exec its file was written, as in "3 s" or "5 min"; "" where it is not known."""
    writer = event["process"].get("written_by")
    if not writer:
        return ""
    executed, written = (dt.datetime.fromisoformat(when) for when in (event["observed_at"], writer["at"]))
    seconds = max(0.0, (executed - written).total_seconds())
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length:.0f} {unit}"
    return f"{seconds:.0f} s" if seconds >= 1 else f"{seconds * 1000:.0f} ms"
