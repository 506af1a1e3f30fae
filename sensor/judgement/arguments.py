"""The files that an exec of an image's program names: its `#!` script, or arguments of a loader or interpreter."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from sensor.container.base import payer_id
from sensor.files.deadline import in_time
from sensor.judgement.interpreters import loaded_files as loaded_code
from sensor.judgement.interpreters import may_name_more, script
from sensor.judgement.loader_arguments import interpreter_called, loaded_files
from sensor.record import Flag

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sensor.policy.drift_kinds import DriftKind
    from sensor.record import Record

MAX_CMDLINE_BYTES: Final = 2 * 1024 * 1024
"""Of a process's arguments: what Linux lets one have by default."""
MAX_INTERPRETER_BYTES: Final = 128 * 1024
"""Of an interpreter's arguments, of which each may be an option."""
MOST_ARGUMENTS: Final = 4_096
"""Arguments of an interpreter that are looked at: of 128 KiB each may be one of two bytes."""
MOST_NAMES: Final = 1_024
"""By which files that an interpreter's arguments name are looked for."""
_CUT: Final = Flag.ARGV_CUT | Flag.ARGV_UNREADABLE


class Unresolvable(Exception):
    """A file that an exec names, and that could not be looked at any more."""


class RootUnknown(Unresolvable):
    """A file on a root filesystem of which nothing tells what the image has."""


class NamedPaths(NamedTuple):
    """Where a file may be that an exec names, the likeliest first; `kind` is what drift is called there.

    Without a file that `may_be_absent` the program runs all the same, or it is one that was named by its directory.
    Where one of those that it is `behind` was a file, and none of those `after` it, it is an argument of that.
    """

    kind: DriftKind
    paths: Sequence[bytes]
    may_be_absent: bool = False
    behind: Sequence[bytes] = ()
    after: Sequence[bytes] = ()


def named_paths(record: Record) -> list[NamedPaths]:
    """The files that an exec names, in the order in which they count. Raises Unresolvable where that is unknown."""
    if record.flags & Flag.SCRIPT:
        return [NamedPaths("script", [record.filename])]
    found = _loaders_paths(record) if record.flags & Flag.LOADER else []
    return [*found, *_interpreters_paths(record)] if record.flags & Flag.INTERPRETER else found


def _interpreters_paths(record: Record) -> list[NamedPaths]:
    """Return the script that an interpreter runs, and what its options load; at the end one without a path for more."""
    argv = whole_argv(record, MAX_INTERPRETER_BYTES)
    called = interpreter_called(record.path, argv or record.argv)
    run = script(*called)
    names = [name for each in run.files for name in each]
    most = MOST_NAMES // len(run.files[0]) if run.files else 0
    found = [NamedPaths("interpreter", each, run.may_be_absent) for each in run.files[:most]]
    left = MOST_NAMES - len(names)
    for each in dict.fromkeys(loaded_code(*called)):
        if left < 0:
            break
        if each.names not in run.files:
            after = [name for name in names if name not in each.behind] if each.behind else ()
            found.append(NamedPaths("interpreter", each.names, may_be_absent=True, behind=each.behind, after=after))
            left -= len(each.names)
    if left < 0 or (argv is None and may_name_more(*called)):
        # None of it being there, the exec is counted: its program may be named behind what is looked for.
        return [*found, NamedPaths("interpreter", ())]
    return found


def script_name(record: Record) -> bytes:
    """Return the name by which the interpreter of a `#!` exec opens its script; b"" where that is unknown.

    Of a chain it is the innermost script's, which the kernel has put into argv, perhaps behind an option.
    """
    if sum(not seen.is_interpreter for seen in record.opened) < 2:
        return record.filename
    return next((name for name in record.argv[1:3] if b"/" in name and not name.startswith(b"-")), b"")


def _loaders_paths(record: Record) -> list[NamedPaths]:
    """Yield the program that a loader runs, then the libraries that it loads first."""
    argv, library_path = whole_argv(record), _library_path(record)
    program, libraries = loaded_files(argv or record.argv, library_path)
    if program is None and argv is None:
        # Its program may be named behind what could be read.
        raise Unresolvable
    found = [NamedPaths("loader", program)] if program else []
    # A library that is gone does not keep its program from running.
    return [*found, *(NamedPaths("library", paths, may_be_absent=True) for paths in libraries)]


def whole_argv(record: Record, most: int = MAX_CMDLINE_BYTES) -> tuple[bytes, ...] | None:
    """Return all arguments of an exec; those that did not fit its record from the process, if it still has the first.

    None where that is gone, or has more bytes of them than `most`, or of an interpreter more than MOST_ARGUMENTS.
    """
    if not record.flags & _CUT:
        return record.argv
    data = _read_of_process(record, "cmdline", most)
    if len(data) == most or not data.startswith(b"\0".join(record.argv)) or not data:
        return None
    if most == MAX_INTERPRETER_BYTES and data.count(b"\0") > MOST_ARGUMENTS:
        return None
    return tuple(data.removesuffix(b"\0").split(b"\0"))


def _library_path(record: Record) -> list[bytes]:
    """Return the directories of LD_LIBRARY_PATH that the process was started with; [] where it is gone."""
    entries = _read_of_process(record, "environ", MAX_CMDLINE_BYTES).split(b"\0")
    value = next((entry.partition(b"=")[2] for entry in entries if entry.startswith(b"LD_LIBRARY_PATH=")), b"")
    return [directory for directory in re.split(b"[:;]", value) if directory]


def _read_of_process(record: Record, name: str, most: int) -> bytes:
    """Return what /proc shows of a process's memory; b"" where it is gone.

    The container may have put a file of a server's there, which never answers.
    """

    def read() -> bytes:
        with Path(f"/proc/{record.pid}/{name}").open("rb") as file:
            return file.read(most)

    try:
        return in_time(read, payer=payer_id(record.cgroup))
    except OSError:
        return b""
