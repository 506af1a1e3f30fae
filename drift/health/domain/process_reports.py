"""What each process of the portal reports of itself, in Redis: one field of a hash per process.

The gateway writes its own without Django, so this module is plain. Times are those of Redis: processes on several
machines need no common clock.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Mapping
from typing import Final

import msgspec

from sensor.wire import json_bytes

KEY: Final = "driftwatch:processes"
INTERVAL: Final = 3.0
"""Seconds between two reports of a process."""
SILENT_AFTER: Final = 10.0
"""Seconds without a report after which a process counts as silent: three missed ones."""
KEPT: Final = 24 * 3600.0
"""Seconds for which the last report of a process that is gone is kept."""
ROLES: Final = ("worker", "beat", "gateway")


class ProcessReport(msgspec.Struct):
    """One report: when, which version, since when it runs; CPU and memory of the process; open streams of a gateway."""

    at: float
    started_at: float = 0.0
    version: str = ""
    cpu_seconds: float = 0.0
    resident_bytes: int = 0
    streams: int = 0


def is_live(report: ProcessReport, now: float) -> bool:
    """Return whether the process reported lately.

    A report from the future is from before Redis's clock was set back, or from a master before a fail-over whose
    clock was ahead: who lives reports again within INTERVAL.
    """
    return abs(now - report.at) < SILENT_AFTER


def new_report(at: float, started: float, version: str, streams: int = 0) -> ProcessReport:
    """Return the report of this process at Redis's time `at`; `started` is a time of `time.monotonic`."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    cpu = round(usage.ru_utime + usage.ru_stime, 3)
    running = time.monotonic() - started
    return ProcessReport(at, at - running, version, cpu, usage.ru_maxrss * 1024, streams)


def field_name(role: str, host: str, pid: int) -> str:
    """Return the hash's field of one process."""
    return f"{role}:{host}:{pid}"


def encode_report(report: ProcessReport) -> bytes:
    """Return the bytes that are kept in Redis."""
    return msgspec.json.encode(report)


def decode_reports(rows: Mapping[bytes, bytes]) -> dict[str, list[ProcessReport]]:
    """Return the reports of each role, the newest first; rows of another release that cannot be read are left out."""
    found: dict[str, list[ProcessReport]] = {role: [] for role in ROLES}
    for name, raw in rows.items():
        role = name.decode(errors="replace").partition(":")[0]
        try:
            report = json_bytes.decode(raw, ProcessReport)
        except msgspec.DecodeError:
            continue
        if role in found:
            found[role].append(report)
    for reports in found.values():
        reports.sort(key=lambda report: report.at, reverse=True)
    return found


def expired_fields(rows: Mapping[bytes, bytes], now: float) -> list[bytes]:
    """Return the fields of processes that have been gone for longer than KEPT, and those that cannot be read."""
    found = []
    for name, raw in rows.items():
        try:
            if json_bytes.decode(raw, ProcessReport).at < now - KEPT:
                found.append(name)
        except msgspec.DecodeError:
            found.append(name)
    return found
