"""A stored event's process, in the form that pages show."""

from __future__ import annotations

import datetime as dt
import shlex
from typing import Any

from drift.alerts.domain.alert_wording import (
    IN_SESSION,
    NOT_REPORTED,
    ORIGINS,
    SESSIONS,
    UNKNOWN,
    WHO_RAN,
    WRITER_IS,
    WRITER_SESSIONS,
)
from drift.alerts.domain.exec_signals import age_words


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


def provenance_words(process: dict[str, Any]) -> dict[str, str]:
    """Return in words how the process came into its container, and of what origin the file's writer is."""
    found = process.get("provenance")
    if found is None:
        return {"session": NOT_REPORTED, "origin": NOT_REPORTED, "writer_session": NOT_REPORTED}
    return {
        "session": SESSIONS.get(found.get("session"), UNKNOWN),
        "origin": ORIGINS.get(found.get("writer_origin"), UNKNOWN),
        "writer_session": WRITER_SESSIONS.get(found.get("written_in_session"), UNKNOWN),
    }


def came_about(event: dict[str, Any]) -> str:
    """Return in a sentence who ran the file, and who wrote it when; "" where nothing is known of either.

    As in "Somebody, by an exec session, ran /tmp/x, written by curl 3 s before in the same session."
    """
    process = event["process"]
    known, writer = process.get("provenance") or {}, process.get("written_by")
    session, written_in = known.get("session"), known.get("written_in_session")
    if not session and not writer:
        return ""
    ran = f"{WHO_RAN.get(session or '', WHO_RAN[''])} ran {shlex.quote(process['path'])}"
    if not writer:
        return f"{ran}."
    origin = f" ({WRITER_IS[known['writer_origin']]})" if known.get("writer_origin") in WRITER_IS else ""
    written = f"written by {shlex.quote(writer['name'])}{origin} {file_age(event)} before"
    if written_in and written_in == session:
        return f"{ran}, {written} in the same session."
    return f"{ran}, {written}{IN_SESSION.get(written_in or '', '')}."


def file_age(event: dict[str, Any]) -> str:
    """Return how long before the exec its file was written, as in "3 s" or "5 min"; "" where it is not known."""
    writer = event["process"].get("written_by")
    if not writer:
        return ""
    executed, written = (dt.datetime.fromisoformat(when) for when in (event["observed_at"], writer["at"]))
    return age_words((executed - written).total_seconds())
