"""The event on the wire from an exec, its container and the verdict on it."""

from __future__ import annotations

import datetime as dt
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sensor.names.escaping import safe_text
from sensor.record import Flag, Record
from sensor.wire import (
    MAX_ANCESTORS,
    MAX_ARGV_BYTES,
    MAX_ARGV_ITEMS,
    MAX_PATH,
    Ancestor,
    Event,
    Parent,
    Process,
    Writer,
    exec_event_id,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sensor.container.identify import Resolved
    from sensor.judgement.decide import Verdict

MAX_NAME: Final = 256
_NS: Final = 1_000_000_000


def boot_id() -> str:
    """The kernel's id of this boot (random(4))."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def boot_time_ns() -> int:
    """When this machine booted, by the clock as it is set now: ns since 1970."""
    return time.time_ns() - time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def to_time(since_boot_ns: int, booted_ns: int) -> dt.datetime:
    """UTC with microseconds from a time since boot."""
    seconds, rest = divmod(booted_ns + since_boot_ns, _NS)
    return dt.datetime.fromtimestamp(seconds, dt.UTC).replace(microsecond=rest // 1_000)


def make_event(record: Record, resolved: Resolved, verdict: Verdict, *, boot: str, booted_ns: int) -> Event:
    """The complete event, its decision left open; texts are escaped and bounded as WIRE says."""
    observed_at = to_time(record.time_ns, booted_ns)
    return Event(
        event_id=exec_event_id(boot, record.pid, record.start_ns or 0, record.time_ns),
        mode="exec",
        observed_at=observed_at,
        last_at=observed_at,
        kind=verdict.kind,
        process=_process(record, verdict, booted_ns),
        container=resolved.container,
        identity="complete" if resolved.complete else "incomplete",
        outcome="blocked" if record.flags & Flag.KILLED else "none",
        outcome_reason=why_it_ran(record.flags),
    )


def why_it_ran(flags: int) -> str:
    """What kept the kernel from stopping an exec, should a rule block it; "" where it did or knew no reason."""
    if flags & Flag.KILLED:
        return ""
    if flags & Flag.UNSTOPPABLE:
        return "not_supported"
    if flags & Flag.LATE:
        return "timeout"
    if flags & Flag.KILL_LIMIT:
        return "kill_limit"
    return "" if flags & Flag.ENFORCED and flags & Flag.WARM else "cold"


def _process(record: Record, verdict: Verdict, booted_ns: int) -> Process:
    argv, cut = bounded_argv(record.argv)
    return Process(
        name=_name(verdict.path),
        path=_path(verdict.path),
        argv=argv,
        argv_truncated=cut or bool(record.flags & (Flag.ARGV_CUT | Flag.ARGV_UNREADABLE)),
        cwd=None if record.cwd is None else _path(record.cwd),
        uid=record.uid,
        pid=record.pid,
        started_at=None if record.start_ns is None else to_time(record.start_ns, booted_ns),
        sha256=verdict.sha256,
        hash_status=verdict.hash_status,
        size=verdict.size,
        copy_of=_path(verdict.copy_of) if verdict.copy_of else None,
        via=_path(verdict.via) if verdict.via else None,
        parent=_parent(record),
        written_by=_written_by(record, verdict, booted_ns),
        ancestors=[Ancestor(safe_text(comm), pid) for pid, comm in record.ancestors[1 : MAX_ANCESTORS + 1]],
    )


def bounded_argv(argv: Iterable[bytes]) -> tuple[list[str], bool]:
    """Escape argv and cut it to its bounds.

    Returns the items and whether anything was cut (more than 64 items or 4 KiB together).
    """
    items: list[str] = []
    left = MAX_ARGV_BYTES
    for raw in argv:
        if len(items) == MAX_ARGV_ITEMS or left <= 0:
            return items, True
        text = safe_text(raw)
        kept = text.encode()[:left].decode(errors="ignore")
        items.append(kept)
        left -= len(kept.encode())
        if kept != text:
            return items, True
    return items, False


def _parent(record: Record) -> Parent | None:
    if not record.ancestors:
        return None
    pid, comm = record.ancestors[0]
    if not record.parent_path:
        return Parent(safe_text(comm), pid)
    return Parent(_name(record.parent_path), pid, _path(record.parent_path))


def _written_by(record: Record, verdict: Verdict, booted_ns: int) -> Writer | None:
    """Who wrote the drifted file, where the kernel program saw it: not of a file that is only named in argv."""
    writer = record.writer
    if verdict.kind == "script":
        script = record.script
        writer = script.writer if script is not None and script.path == verdict.path else None
    elif verdict.path != b"/" + record.path.lstrip(b"/"):
        writer = None
    if writer is None:
        return None
    return Writer(
        name=_name(writer.path or writer.name),
        path=_path(writer.path) if writer.path else None,
        pid=writer.pid,
        at=to_time(writer.time_ns, booted_ns),
        parent=Ancestor(_name(writer.parent_name), writer.parent_pid) if writer.parent_pid else None,
    )


def _name(path: bytes) -> str:
    return safe_text(path.rsplit(b"/", 1)[-1])[:MAX_NAME]


def _path(path: bytes) -> str:
    return safe_text(path)[:MAX_PATH]
