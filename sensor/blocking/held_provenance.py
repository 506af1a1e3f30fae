"""How a held exec's process may have come into its container, and who may have written its file.

The kernel program knows the session at the exec itself, and whether the record of writers is that of the container that
executes the file: so a check answers for each of these cases.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from sensor.capture.block_tables import ExecMark, ExecMarks
from sensor.judgement.provenance import SESSIONS, provenance, sessions_of
from sensor.policy.properties import TABLE, WRITER_PROPERTIES
from sensor.record import SessionOf

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sensor.capture.write_records import WriterRecords
    from sensor.file_state import FileState
    from sensor.policy import Policy
    from sensor.wire import ProcessProvenance, Session

ProvenanceFacts = dict[str, str | None]
_ATTRIBUTES: Final = {each.name: each.event[0].rpartition(".")[2] for each in TABLE if each.row == "provenance"}
"""The attribute of a ProcessProvenance by the property's name."""


class ProvenanceCases(NamedTuple):
    """The facts of each case, by session; only one where the policy looks at none.

    `unknown` where the writers are not known, `known` with those that the record has, None where that makes no
    difference; `state` is the record's.
    """

    unknown: tuple[ProvenanceFacts, ...]
    known: tuple[ProvenanceFacts, ...] | None = None
    state: FileState | None = None

    def marks(self, mark: Callable[[ProvenanceFacts], ExecMark | None]) -> ExecMarks:
        """Return the mark of each case."""
        unknown = _of_all_sessions([mark(facts) for facts in self.unknown])
        return ExecMarks(unknown, None if self.known is None else _of_all_sessions([mark(each) for each in self.known]))


def provenance_cases(
    policy: Policy, role: Session | None, records: WriterRecords | None = None, fd: int = -1
) -> ProvenanceCases:
    """Return the cases that a policy tells apart, of an open file whose writers `records` know.

    `role`: the session of the container's own processes, where that is not the workload.
    """
    sessions = sessions_of(role) if policy.has_conditions(("session",)) else SESSIONS[:1]
    state = writer = None
    if records is not None and policy.has_conditions(WRITER_PROPERTIES):
        state, writer = records.look_at_writer(fd)
    nobody = _facts(provenance(SessionOf.UNKNOWN, None, None))
    unknown = tuple(nobody | {"session": session} for session in sessions)
    if state is None or not state.has_known_writers:
        return ProvenanceCases(unknown)
    wrote = _facts(provenance(SessionOf.UNKNOWN, writer, state))
    return ProvenanceCases(unknown, tuple(wrote | {"session": session} for session in sessions), state)


def without_writers(facts: ProvenanceFacts) -> ProvenanceFacts:
    """Return the facts of a file that somebody else wrote to."""
    return facts | dict.fromkeys(WRITER_PROPERTIES)


def _facts(known: ProcessProvenance) -> ProvenanceFacts:
    return {name: getattr(known, attribute) for name, attribute in _ATTRIBUTES.items()}


def _of_all_sessions(marks: Sequence[ExecMark | None]) -> tuple[ExecMark | None, ...]:
    return (*marks,) * (len(SESSIONS) // len(marks))
