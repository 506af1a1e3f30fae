"""The event on the wire, from an exec, its container and the verdict on it."""

from __future__ import annotations

import datetime as dt
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sensor.judgement.provenance import MAX_NAME, base_name, provenance, writer_name
from sensor.names.escaping import safe_text
from sensor.names.event_ids import exec_event_id
from sensor.record import Flag
from sensor.wire import (
    MAX_ANCESTORS,
    MAX_ARGV_BYTES,
    MAX_ARGV_ITEMS,
    MAX_PATH,
    Ancestor,
    Event,
    FileOrigin,
    Parent,
    Process,
    Writer,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sensor.container.identify import Resolved
    from sensor.file_state import FileState
    from sensor.judgement.decide import MountedImage, Verdict
    from sensor.record import LastWriter, Record
    from sensor.wire import Container

_NS: Final = 1_000_000_000


def boot_id() -> str:
    """Return the kernel's id of this boot (random(4))."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def boot_time_ns() -> int:
    """When this machine booted, by the clock as it is set now: ns since 1970."""
    return time.time_ns() - time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def make_event(record: Record, resolved: Resolved, verdict: Verdict, *, boot: str, booted_ns: int) -> Event:
    """Return the complete event, its decision left open; strings are escaped and bounded (docs/wire.md#bounds)."""
    observed_at = utc_time(record.time_ns, booted_ns)
    # Without an overlay nothing is blocked: the kernel program can't tell an image's file there.
    reason = "not_supported" if resolved.plain_root is not None else why_not_stopped(record.flags)
    return Event(
        # By pid and start too, and the boot: a reused pid does no harm, nor does a record read twice.
        event_id=exec_event_id(boot, record.pid, record.start_ns or 0, record.time_ns),
        mode="exec",
        observed_at=observed_at,
        last_at=observed_at,
        kind=verdict.kind,
        process=_process(record, verdict, booted_ns),
        container=resolved.container,
        identity="complete" if resolved.complete and verdict.basis != "unknown" else "incomplete",
        confidence="change_time" if verdict.basis == "change_time" else "certain",
        outcome="blocked" if record.flags & Flag.KILLED else "none",
        outcome_reason=reason,
    )


def name_owner(event: Event, owner: Container, *, is_image_file: bool | None) -> None:
    """Say in an event that its file is another container's: by a path that is not one of its own container's."""
    process = event.process
    process.path = f"/container:{owner.id[:12]}{process.path}"[:MAX_PATH]
    process.file_origin = FileOrigin(
        container_id=owner.id,
        container_name=owner.name,
        image_name=owner.image_name,
        image_digest=owner.image_digest,
        namespace=owner.namespace,
        pod_name=owner.pod_name,
        is_image_file=is_image_file,
    )


def name_volume(event: Event, image: MountedImage, *, is_image_file: bool) -> None:
    """Say in an event which image its file's volume shows."""
    event.process.file_origin = FileOrigin(
        image_name=image.name, image_digest=image.digest, is_image_file=is_image_file
    )


def why_not_stopped(flags: int) -> str:
    """What kept the kernel from stopping an exec, should a rule block it; "" where it did, or knew no reason."""
    if flags & Flag.KILLED:
        return ""
    if flags & Flag.UNSTOPPABLE:
        return "not_supported"
    if flags & Flag.LATE:
        return "timeout"
    return "" if flags & Flag.ENFORCED and flags & Flag.WARM else "cold"


def _process(record: Record, verdict: Verdict, booted_ns: int) -> Process:
    started_at = None if record.start_ns is None else utc_time(record.start_ns, booted_ns)
    writer, state = _file_history(record, verdict)
    written_at = utc_time(writer.time_ns, booted_ns) if writer is not None else None
    argv, cut = bounded_argv(record.argv)
    parent, written_by = None, None
    if writer is not None and written_at is not None:
        above = Ancestor(safe_text(base_name(writer.parent_name), MAX_NAME), writer.parent_pid)
        written_by = Writer(
            name=writer_name(writer),
            path=safe_text(writer.path, MAX_PATH) or None,
            pid=writer.pid,
            at=written_at,
            parent=above if writer.parent_pid else None,
        )
    if record.ancestors:
        pid, comm = record.ancestors[0]
        # Named by its program where that was seen: a process may give itself any comm.
        name = base_name(record.parent_path) if record.parent_path else comm
        parent = Parent(safe_text(name, MAX_NAME), pid, safe_text(record.parent_path, MAX_PATH) or None)
    return Process(
        name=safe_text(base_name(verdict.path), MAX_NAME),
        path=safe_text(verdict.path, MAX_PATH),
        argv=argv,
        argv_truncated=cut or bool(record.flags & (Flag.ARGV_CUT | Flag.ARGV_UNREADABLE)),
        cwd=None if record.cwd is None else safe_text(record.cwd, MAX_PATH),
        uid=record.uid,
        pid=record.pid,
        started_at=started_at,
        sha256=verdict.sha256,
        hash_status=verdict.hash_status,
        size=verdict.size,
        copy_of=safe_text(verdict.copy_of, MAX_PATH) if verdict.copy_of else None,
        via=safe_text(verdict.via, MAX_PATH) if verdict.via else None,
        parent=parent,
        written_by=written_by,
        # A memfd's writers need not have opened it.
        provenance=provenance(record.session, writer, state if verdict.kind != "fileless" else None),
        ancestors=[Ancestor(safe_text(comm), pid) for pid, comm in record.ancestors[1 : MAX_ANCESTORS + 1]],
    )


def bounded_argv(
    argv: Iterable[bytes | str], most_items: int = MAX_ARGV_ITEMS, most_bytes: int = MAX_ARGV_BYTES
) -> tuple[list[str], bool]:
    """Escape argv and cut it to its bounds: by default 64 items, and 4 KiB together.

    Returns the items and whether anything was cut.
    """
    items: list[str] = []
    left = most_bytes
    for raw in argv:
        if len(items) == most_items or left <= 0:
            return items, True
        item = safe_text(raw)
        kept = item.encode()[:left].decode(errors="ignore")
        items.append(kept)
        left -= len(kept.encode())
        if kept != item:
            return items, True
    return items, False


def _file_history(record: Record, verdict: Verdict) -> tuple[LastWriter | None, FileState | None]:
    """Who wrote the drifted file, where the kernel program saw it: not for a file that only argv names."""
    opened = next((seen for seen in record.opened if _shown(seen.path) == verdict.path), None)
    if opened is not None:
        return opened.writer, opened.state
    return (record.writer, record.state) if verdict.path == _shown(record.path) else (None, None)


def _shown(path: bytes) -> bytes:
    return b"/" + path.lstrip(b"/")


def utc_time(since_boot_ns: int, booted_ns: int) -> dt.datetime:
    """UTC with microseconds from a time since boot."""
    seconds, rest = divmod(booted_ns + since_boot_ns, _NS)
    return dt.datetime.fromtimestamp(seconds, dt.UTC).replace(microsecond=rest // 1_000)
