"""The forms of the programs around a process: its parent, its file's writer, and the programs above that."""

from __future__ import annotations

import re
from typing import Final

from sensor.policy.lint import readings
from sensor.policy.lint.command_lines import program_of, strip_pid
from sensor.policy.lint.files import read_file, suspicious
from sensor.policy.lint.findings import Flaw, Level, Suggestion

_ARROWS: Final = re.compile(r"/|\s*(?:→|->|=>|»|›|←|<-|\s>\s)\s*")
_BY_NAME: Final = "A program is compared here by its name, without its directory."


def parent_flaw(operator: str, string: str) -> Flaw | None:
    """Return what is wrong with a value of a parent or writer: a program's name, or what a process calls itself."""
    if names := _chain(operator, string):
        return Flaw("warning", _BY_NAME, Suggestion(((operator, names[-1]),)))
    numbered = strip_pid(string)
    if numbered and operator == "equals":
        return Flaw("warning", numbered[1], Suggestion(((operator, numbered[0]),)))
    is_path = re.match(r"/|\.{1,2}/|~/|\$", string) or re.search(r"(?:^|/)s?bin/|[^/]/$", string)
    if not is_path:
        return suspicious(operator, string)
    reading = read_file(operator, string)
    name = program_of(reading.strings[0]).rstrip("/:").rpartition("/")[2]
    usable = name and not reading.is_open and suspicious(operator, name) is None
    level: Level = "error" if string.startswith("/") else "warning"
    return Flaw(level, _BY_NAME, Suggestion(((operator, name),)) if usable else None)


def parents_flaw(operator: str, string: str) -> Flaw | None:
    """Return what is wrong with a value of a writer's parents, which an alert shows with / between them."""
    if names := _chain(operator, string):
        first, *more = ((operator, name) for name in names)
        return Flaw(
            "warning", "Each program above the writer is compared for itself.", Suggestion((first,), tuple(more))
        )
    flaw = parent_flaw(operator, string)
    if flaw or "/" not in string:
        return flaw
    return Flaw("error", "Each program above the writer is compared for itself: no name has a /.")


def _chain(operator: str, string: str) -> list[str]:
    """Return the names in `apt/dpkg`; nothing where it is one name, such as `kworker/0:1`, or begins as a path does."""
    names = _ARROWS.split(readings.compact(string)) if operator == "equals" else []
    is_chain = len(names) > 1 and all(re.fullmatch(r"[\w+-][\w.+-]*", name) for name in names)
    return names if is_chain and not any(name.isdigit() or name in {"bin", "sbin"} for name in names) else []
