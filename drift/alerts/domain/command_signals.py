"""The signals of an event's command line: what its arguments show, in view of what program has them. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from drift.alerts.domain import program_names as names
from drift.alerts.domain.argv_patterns import argv_signals, is_remote_copy, only_asks_version
from drift.alerts.domain.priority_signals import Signal, signal
from sensor import wire

OF_A_PROGRAM: Final = frozenset({"outside_address", "detached", "hidden_file"})
"""What servers have in their arguments too: a library's are those of the program that loads it."""


def command_signals(event: wire.Event) -> Iterator[Signal]:
    """Yield the signals of an event's arguments."""
    argv = event.process.argv
    found = [name for name in argv_signals(argv) if not _is_everyday(name, event)]
    yield from (signal(name) for name in found)
    is_copy_tool = names.is_named(event.process.name, names.COPY_TOOLS)
    if "exfiltration" in found and not is_copy_tool and is_remote_copy(argv):
        yield signal("renamed_tool")
    if not found and only_asks_version(argv):
        yield signal("asks_version")


def _is_everyday(name: str, event: wire.Event) -> bool:
    """Return whether arguments say nothing of this program: its own path, its own files, or what it is for."""
    path, program = event.process.path, event.process.name
    if name == "memory_file":
        return path.startswith(names.WRITABLE)
    if name == "hidden_file" and "/." in path:
        return True
    if name == "data_files":
        return names.is_named(program, names.SERVERS)
    if name == "key_store":
        return names.is_named(program, names.KEY_TOOLS) or event.kind == "library"
    if name == "outside_address" and names.is_named(program, names.FETCHERS):
        return True
    return event.kind == "library" and name in OF_A_PROGRAM
