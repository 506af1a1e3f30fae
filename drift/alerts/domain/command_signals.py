"""The signals of an event's command line: what its arguments show, in view of what program has them. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from drift.alerts.domain import program_names as names
from drift.alerts.domain.argv_patterns import MAX_CHARACTERS, argv_signals, is_remote_copy, only_asks_version
from drift.alerts.domain.priority_signals import Signal, signal
from sensor import wire

OF_A_PROGRAM: Final = frozenset(
    {
        "outside_address",
        "outside_host",
        "network_range",
        "secret_file",
        "calls_home",
        "offers_shell",
        "seeks_secrets",
        "reads_memory",
        "guesses",
        "loads_code",
        "controller",
        "key_store",
        "detached",
        "hidden_file",
    }
)
"""What servers have in their arguments too: a library's are those of the program that loads it."""

ONE_FACT: Final = (("network_range", "scan"), ("outside_host", "outside_address"), ("outside_host", "miner"))
"""Pairs of which the second says what the first does, and more."""
_WHAT_THEY_ARE_FOR: Final = {
    "data_files": names.SERVERS | names.BACKUP_TOOLS,
    "key_store": names.KEY_TOOLS,
    "runtime_socket": names.RUNTIME_DAEMONS,
    "outside_address": names.FETCHERS,
    "outside_host": names.FETCHERS,
}
OF_ATTACKS: Final = names.name_set(
    "miner tunnel reverse_shell credentials scan escape runtime_socket encoded exfiltration ransom"
)
"""What hardly anything but an attack has in its arguments. The rest, such as an address outside, is an attack's only
beside other facts."""
_OWN_OPTIONS: Final = re.compile(
    r"(--(kubeconfig|private-key|identity-file|userconfig|netrc-file)[= ]|(?<![\w-])ssh -i ?)(?!/proc/)[\w./~-]{0,256}"
    r"(\.kube/config|\.ssh/id_\w{1,32}|\.npmrc|\.netrc)(?![\w./-])"
)
"""With these options clients are given the credentials that they are to use."""


def attack_signals(event: wire.Event) -> list[str]:
    """Return the names of what hardly anything but an attack has in its arguments, in the table's order.

    None of a library: its arguments are those of the program that loads it.
    """
    if event.kind == "library":
        return []
    found = argv_signals([_OWN_OPTIONS.sub("", " ".join(event.process.argv))])
    return [name for name in found if name in OF_ATTACKS and not _is_everyday(name, event)]


def is_known_whole(event: wire.Event) -> bool:
    """Return whether the patterns see all of a command line: its end may be what counts.

    One that was dropped, as past a limit or by retention, is as if it were empty.
    """
    argv = event.process.argv
    # Masks make an argument longer, and a sensor cuts one that got too long without flagging argv.
    is_cut = event.process.argv_truncated or any(len(each) >= wire.MAX_ARGV_BYTES for each in argv)
    return not argv or not (is_cut or len(" ".join(argv)) > MAX_CHARACTERS)


def command_signals(event: wire.Event) -> Iterator[Signal]:
    """Yield the signals of an event's arguments."""
    argv = event.process.argv
    found = [name for name in argv_signals(argv) if not _is_everyday(name, event)]
    for lesser, greater in ONE_FACT:
        if greater in found and lesser in found:
            found.remove(lesser)
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
    if name in _WHAT_THEY_ARE_FOR and names.is_named(program, _WHAT_THEY_ARE_FOR[name]):
        return True
    return event.kind == "library" and name in OF_A_PROGRAM
