"""How processes entered their containers: the exec of each entry, for the events of what is started from it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from sensor.container.recent import Recent
from sensor.judgement.events import bounded_argv, utc_time
from sensor.record import Flag
from sensor.wire import MAX_ENTRY_BYTES, MAX_ENTRY_ITEMS, EntryExec

if TYPE_CHECKING:
    from sensor.container.identify import Resolved
    from sensor.record import Record
    from sensor.wire import Session

MAX_ENTRIES: Final = 16_384
MAX_ALIKE: Final = 16
"""Entries of one mount namespace with one command: a probe that enters every second must not push out a person's."""
_Key = tuple[int, int]


class EntryCommand(NamedTuple):
    """With which command somebody entered, the id that the environment claimed ("" without one), and the session."""

    argv: tuple[str, ...]
    is_cut: bool
    claimed_id: str
    session: Session = "exec"


class Entries:
    """The entries seen last. Of those with one command in one container the oldest fall out first. Not thread-safe."""

    def __init__(self, most: int = MAX_ENTRIES) -> None:
        self._commands: Recent[_Key, EntryCommand] = Recent(most)
        self._alike: Recent[tuple[int, tuple[str, ...]], tuple[_Key, ...]] = Recent(most)

    def note(self, record: Record, resolved: Resolved) -> None:
        """Keep the command of an exec that entered its container (Flag.ENTRY)."""
        items, is_cut = bounded_argv(record.argv, MAX_ENTRY_ITEMS, MAX_ENTRY_BYTES)
        argv = tuple(items)
        key = record.entered_ns, record.entered_pid
        kind = record.namespace_id, argv
        alike = self._alike.get(kind) or ()
        if key in alike:
            return  # read again from the ring
        if len(alike) == MAX_ALIKE:
            self._commands.remove(alike[0])
        if alike:
            argv = self._argv_of(alike[-1], argv)
        self._alike.put(kind, (*alike, key)[-MAX_ALIKE:])
        self._commands.put(key, EntryCommand(argv, is_cut, record.claimed_id.decode(), _session(record, resolved)))

    def _argv_of(self, key: _Key, argv: tuple[str, ...]) -> tuple[str, ...]:
        """Return the strings of an entry that is alike, so that they are kept once."""
        known = self._commands.get(key)
        return known.argv if known is not None else argv

    def entry(self, record: Record, booted_ns: int) -> EntryExec | None:
        """Return how an exec's process line entered, without its command where that is lost; None if it did not."""
        if not record.entered_ns:
            return None
        at = utc_time(record.entered_ns, booted_ns)
        known = self._commands.get((record.entered_ns, record.entered_pid))
        if known is None:
            return EntryExec(at, record.entered_pid)
        return EntryExec(at, record.entered_pid, list(known.argv), known.is_cut, known.claimed_id or None)

    def session(self, record: Record, resolved: Resolved, session: Session | None) -> Session | None:
        """Return the session of an exec's process as exactly as the pod's specification tells it."""
        if session == "workload":
            return resolved.role or session
        # What was stopped, was so by what was known then: the event must show the same.
        if session == "exec" and not record.flags & Flag.KILLED:
            known = self._commands.get((record.entered_ns, record.entered_pid))
            return known.session if known is not None else session
        return session


def _session(record: Record, resolved: Resolved) -> Session:
    is_whole = not record.flags & (Flag.ARGV_CUT | Flag.ARGV_UNREADABLE)
    spec = resolved.pod_spec
    return "probe" if spec and is_whole and spec.is_probe(resolved.container.name or "", record.argv) else "exec"
