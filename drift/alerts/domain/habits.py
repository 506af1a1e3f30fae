"""In which way an alert came about, and whether that is a habit of its workload or of the estate: pure.

Noise repeats: CI jobs, updates and caches raise alerts of other content each time, but always in the same way. An
attack rarely comes about as something before it did (docs/priority.md#ways). A lineage is the coarser half of a way:
kind, writer and starter, wherever the file is.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from posixpath import basename
from typing import Final

from drift.alerts.domain import program_names as names
from drift.alerts.domain.fingerprints import digest
from drift.alerts.domain.priority_signals import Signal, signal
from drift.alerts.domain.starters import checked_name, names_above
from sensor import wire

MANY_DAYS: Final = 3
MANY_WORKLOADS: Final = 3
KNOWN_DAYS: Final = 2
DIRECTORIES: Final = 2
"""Of a path that count: what is deeper differs between versions."""
SHELL: Final = "sh"
"""Stands for the shells of people, as the starter of a lineage."""
RANDOM_WORD: Final = 8
"""Characters from which on a word with digits is taken for a random one; of shorter ones the digits differ."""
_WORD: Final = re.compile(r"[A-Za-z0-9]+")
_DIGITS: Final = re.compile(r"\d+")
ANY: Final = "#"
"""Stands for a name with digits: of a version, a build, a random name."""
NO_STARTERS: Final = names.SHELLS | names.COPIERS


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
    path = [
        *map(form, directories[1 : DIRECTORIES + 1]),
        f"{form(stem)}{dot}{form(ending)}" if stem else form(name),
    ]
    return digest("habit", event.kind, writer, above[:1], nearest, path)


def lineage(event: wire.Event) -> uuid.UUID:
    """Return the lineage of an event: its kind, and the programs that wrote the file and started or loaded it."""
    return digest("lineage", event.kind, *_writer_and_starter(event))


def lineage_words(event: wire.Event) -> str:
    """Return writer and starter in words, as in "written by cp, started below java"."""
    writer, starter = _writer_and_starter(event)
    written = f"written by {writer}, " if writer else ""
    if _loader(event):
        return f"{written}loaded by {starter}"
    started = "from a shell" if starter == SHELL else f"below {starter}" if starter else "by nothing known"
    return f"{written}started {started}"


def _loader(event: wire.Event) -> str:
    """Return the program that loads a library; "" of what is none, and where it is not known."""
    return names.program(basename(event.process.via or "")) if event.kind == "library" else ""


def _writer_and_starter(event: wire.Event) -> tuple[str, str]:
    """Return the writing program, and the nearest above the process that is no shell; "" where there is none.

    Of a library it is the program that loads it, whatever started that.
    """
    written_by = event.process.written_by
    writer = names.program(checked_name(written_by)) if written_by else ""
    if loader := _loader(event):
        return writer, loader
    above = names_above(event)
    for name in above:
        program = names.program(name)
        if program not in names.OUTSIDE and not names.is_named(name, NO_STARTERS):
            return writer, program
    return writer, SHELL if above and above[0][:15] in names.INTERACTIVE_SHELLS else ""


def form(part: str) -> str:
    """Return a part of a path with ANY for what differs each time: versions, numbers and random words."""
    return part if part.isalpha() or not _DIGITS.search(part) else _WORD.sub(_word_form, part)


def _word_form(word: re.Match[str]) -> str:
    varied = _DIGITS.sub(ANY, word[0])
    return ANY if varied != word[0] and len(word[0]) >= RANDOM_WORD else varied


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


def lineage_signals(facts: HabitFacts, what: str, place: str) -> Iterator[Signal]:
    """Yield what the lineage says; `what` is its `lineage_words`, `place` as above."""
    if facts.own_days >= KNOWN_DAYS:
        yield signal("known_lineage", str(facts.own_days))
    elif not facts.own_days and not facts.workloads:
        yield signal("new_lineage", f"{place}: {what}")
