"""What a noise budget makes of who wrote and started a file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from drift.alerts.domain.program_names import DECODERS, DOWNLOADERS, LOGIN_DAEMONS, PARSERS, SERVERS
from sensor.policy.properties import NAME_SEPARATOR

EXPOSED: Final = DOWNLOADERS | SERVERS | PARSERS | LOGIN_DAEMONS
"""Programs that strangers reach, or that fetch what strangers wrote."""
OWN_SESSIONS: Final = frozenset({"", "workload", "init"})
"""Of the container's own processes, or unknown. A person may run the very command of a probe."""
KNOWN_ORIGINS: Final = ("image", "runtime", "drift")


class FileWriter(NamedTuple):
    """What one provenance says of who wrote and started a file."""

    is_person: bool
    is_known: bool
    is_decoder: bool
    is_exposed: bool
    is_own_program: bool


def file_writer(facts: Mapping[str, str | None]) -> FileWriter:
    """Return what a provenance's facts say."""
    sessions = {facts.get("session") or "", facts.get("written_in_session") or ""}
    name, parent = facts.get("written_by_name") or "", facts.get("written_by_parent") or ""
    return FileWriter(
        is_person=not sessions <= OWN_SESSIONS,
        is_known=bool(facts.get("written_by")) and facts.get("writer_origin") in KNOWN_ORIGINS,
        is_decoder=name in DECODERS,
        is_exposed=not EXPOSED.isdisjoint({name, *parent.split(NAME_SEPARATOR)}),
        is_own_program=facts.get("writer_origin") == "image" and facts.get("session") == "workload",
    )
