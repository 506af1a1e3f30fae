"""What a policy may go by of a process: how it came into its container, and who wrote its file (docs/detection.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sensor.file_state import OriginFlag
from sensor.names.escaping import safe_text
from sensor.policy.properties import NAME_SEPARATOR
from sensor.record import SessionOf
from sensor.wire import MAX_PATH, ProcessProvenance

if TYPE_CHECKING:
    from sensor.file_state import FileState
    from sensor.record import LastWriter
    from sensor.wire import Session, WriterOrigin, WriterSession

MAX_NAME: Final = 256
SESSIONS: Final[tuple[Session | None, ...]] = (None, "workload", "exec")
"""By the numbers of SessionOf."""


def sessions_of(role: Session | None) -> tuple[Session | None, ...]:
    """Return the same for a container of this role in its pod, such as `init`; None: it is the workload's."""
    unknown, workload, entered = SESSIONS
    return unknown, role or workload, entered


def provenance(session: int, writer: LastWriter | None, state: FileState | None) -> ProcessProvenance:
    """Return the facts: of writers nothing, unless all who can have written the file are known.

    `session` is one of SessionOf; `writer` and `state` are of the file that the process runs.
    """
    came = SESSIONS[session] if session in {SessionOf.WORKLOAD, SessionOf.EXEC} else None
    if state is None or not state.has_known_writers:
        return ProcessProvenance(came)
    known = ProcessProvenance(
        came, writer_origin=_writer_origin(state.origins), written_in_session=_writer_session(state.origins)
    )
    # Who lets a trusted program write the last byte has written all others.
    is_one = not state.origins & OriginFlag.SEVERAL or known.writer_origin == "image"
    if writer is None or not is_one or not (writer.is_opener or state.has_idle_opener):
        return known
    return ProcessProvenance(
        came,
        safe_text(writer.path, MAX_PATH) or None,
        writer_name(writer),
        known.writer_origin,
        NAME_SEPARATOR.join(safe_text(base_name(name), MAX_NAME // 4) for name in writer.lineage) or None,
        known.written_in_session,
    )


def writer_name(writer: LastWriter) -> str:
    """Return the name of a writer: its program's, for a process may give itself any."""
    return safe_text(base_name(writer.path or writer.name), MAX_NAME)


def base_name(path: bytes) -> bytes:
    """Return the last part of a path."""
    return path.rsplit(b"/", 1)[-1]


def _writer_origin(origins: int) -> WriterOrigin | None:
    """Return the least trusted of all who opened a file for writing; None where one of them may be anything."""
    if origins & OriginFlag.DRIFT:
        return "drift"
    if origins & OriginFlag.UNKNOWN:
        return None
    return "runtime" if origins & OriginFlag.RUNTIME else "image"


def _writer_session(origins: int) -> WriterSession | None:
    """Return `exec` if one of them had entered the container; None where one of them may have."""
    if origins & OriginFlag.NO_SESSION:
        return None
    if origins & OriginFlag.EXEC:
        return "exec"
    return "workload" if origins & OriginFlag.WORKLOAD else None
