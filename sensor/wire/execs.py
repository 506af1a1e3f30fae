"""What a container executed around its drift: the body of `POST sensors/me/execs` (docs/wire.md#executions)."""

from __future__ import annotations

import uuid
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from sensor.names.decode_errors import error_field
from sensor.wire.bounds import MAX_ARGV_BYTES, MAX_ARGV_ITEMS, Counter, Name, Pid, Time
from sensor.wire.decoding import WireError, has_nul

MAX_EXECS: Final = 16
"""Execs in one report."""
MAX_REPORTS: Final = 64
"""Reports in one POST."""
MAX_REPORT_BYTES: Final = 64 * 1024
MAX_EXEC_ANCESTORS: Final = 4


class ExecAncestor(Struct, gc=False):
    """A process above, by pid and start; the start is None where it was not seen."""

    pid: Pid
    started_at: Time | None = None


class ContainerExec(Struct, gc=False):
    """One exec in a container, its image's own included. `exec_id` is the event's id where the exec drifted.

    `path` is as it was given to execve; `parent_name` the parent's own short name, `ancestors` nearest first.
    """

    exec_id: uuid.UUID
    at: Time
    pid: Pid
    path: Annotated[str, Meta(max_length=1_024)]
    path_truncated: bool = False
    argv: Annotated[list[Annotated[str, Meta(max_length=MAX_ARGV_BYTES)]], Meta(max_length=MAX_ARGV_ITEMS)] = []
    argv_truncated: bool = False
    uid: Annotated[int, Meta(ge=0, le=2**32 - 1)] | None = None
    started_at: Time | None = None
    parent_name: Name = ""
    ancestors: Annotated[list[ExecAncestor], Meta(max_length=MAX_EXEC_ANCESTORS)] = []


class ExecReport(Struct, gc=False):
    """Execs of one container in the order of their times. `missed` are gone, from before the first of them."""

    container_id: Annotated[str, Meta(max_length=64)]
    execs: Annotated[list[ContainerExec], Meta(min_length=1, max_length=MAX_EXECS)]
    namespace: Name | None = None
    missed: Counter = 0


class ExecReportsRequest(Struct):
    """Reports are left undecoded: each is decoded on its own, so that an error names the report's index."""

    reports: list[msgspec.Raw]


class ExecReportsResponse(Struct):
    """`accepted` execs are durably stored, now or earlier; `dropped` ones exceed what a sensor may store."""

    accepted: int
    dropped: int


_report_decoder = msgspec.json.Decoder(ExecReport)


def decode_exec_report(raw: bytes | msgspec.Raw) -> ExecReport:
    """Decode one report from JSON. Raises WireError: `too_large` over 64 KiB, `nul`, else `invalid` with the field."""
    data = bytes(raw)
    if len(data) > MAX_REPORT_BYTES:
        raise WireError("too_large", f"A report may take {MAX_REPORT_BYTES} bytes; this one takes {len(data)}.")
    try:
        report = _report_decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise WireError("invalid", str(error), error_field(error)) from None
    if b"\\u0000" in data and has_nul(report):
        raise WireError("nul", "Strings in a report must not contain NUL.")
    return report
