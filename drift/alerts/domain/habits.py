"""In which way an alert came about, and whether that is a habit of its workload or of the estate: pure.

Noise repeats: CI jobs, updates and caches raise alerts of other content each time, but always in the same way. An
attack rarely comes about as something before it did (docs/priority.md#ways).
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from drift.alerts.domain import program_names as names
from drift.alerts.domain.exec_signals import checked_name, names_above
from drift.alerts.domain.fingerprints import digest
from drift.alerts.domain.priority_signals import Signal, signal
from sensor import wire

MANY_DAYS: Final = 3
MANY_WORKLOADS: Final = 3
DIRECTORIES: Final = 2
"""Of a path that count: what is deeper differs between versions."""
ANY: Final = "#"
"""Stands for a name with digits: of a version, a build, a random name."""


@dataclass(frozen=True)
class HabitFacts:
    """How often alerts came about in this way.

    `own_days`: other days on which this workload had some; `workloads`: other workloads that had some, on `days` days.
    `attack`: the newest true positive of this way, of those that may be known; 0 without one.
    """

    own_days: int = 0
    workloads: int = 0
    days: int = 0
    attack: int = 0


def habit(event: wire.Event) -> uuid.UUID:
    """Return the way in which an event came about: kind, writer, what started it, and the form of its path."""
    process = event.process
    above = [names.program(name) for name in names_above(event)]
    nearest = next((name for name in above[1:] if name not in names.SHELLS), "")
    writer = names.program(checked_name(process.written_by)) if process.written_by else ""
    *directories, name = process.path.split("/")
    stem, dot, ending = name.rpartition(".")
    form = [
        *map(_form, directories[1 : DIRECTORIES + 1]),
        f"{_form(stem)}{dot}{_form(ending)}" if stem else _form(name),
    ]
    return digest("habit", event.kind, writer, above[:1], nearest, form)


def _form(part: str) -> str:
    return ANY if re.search(r"\d", part) else part


def habit_signals(facts: HabitFacts, place: str) -> Iterator[Signal]:
    """Yield what the way says; `place` is "in this estate" or "in this workload".

    A true positive outweighs the habit: an attack that goes on for days is none.
    """
    if facts.attack:
        yield signal("like_attack", str(facts.attack))
    elif facts.own_days >= MANY_DAYS:
        yield signal("habit", str(facts.own_days))
    elif facts.workloads >= MANY_WORKLOADS and facts.days >= MANY_DAYS:
        yield signal("common", str(facts.workloads))
    elif not facts.own_days and not facts.workloads:
        yield signal("unlike", place)
