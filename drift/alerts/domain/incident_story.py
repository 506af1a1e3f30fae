"""What the alerts of an incident have in common: the story that its name tells, and what tells attack from routine.

An alert's story follows from the processes around it. What is rarely harmless comes first: a file that curl wrote while
packages are installed is a download. So an attack does not vanish in the installation beside it.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Final

from drift.alerts.domain import program_names as names
from sensor import wire

OUTSIDE: Final = ("containerd-shim", "conmon", "runc", "crun", "dockerd", "systemd", "init")
"""Ancestors outside the container: every process of a node has them, so they relate nothing."""


class Story(StrEnum):
    """The stories, by what they are looked at first for."""

    MEMORY = "memory"
    DOWNLOAD = "download"
    SERVICE = "service"
    HAND_INSTALL = "hand_install"
    PACKAGE_INSTALL = "package_install"
    BUILD = "build"
    SESSION = "session"
    OTHER = "other"

    @property
    def label(self) -> str:
        return LABELS[self]


LABELS: Final = {
    Story.MEMORY: "Fileless execution",
    Story.DOWNLOAD: "Download and execution",
    Story.SERVICE: "Program started by a service",
    Story.HAND_INSTALL: "Package install in an exec session",
    Story.PACKAGE_INSTALL: "Package install",
    Story.BUILD: "Build",
    Story.SESSION: "Exec or shell session",
    Story.OTHER: "New programs",
}


def is_routine(story: str) -> bool:
    """Return whether it is what developers and CI jobs do: likely a habit, not an attack."""
    return story in {Story.PACKAGE_INSTALL, Story.BUILD}


def event_story(event: wire.Event) -> Story:
    """Return the story of the alert that an event opens."""
    process = event.process
    known = process.provenance or wire.ProcessProvenance()
    # Who dropped a writer chose its name.
    is_named = process.written_by is not None and known.writer_origin != "drift"
    writer = [_program(process.written_by.name)] if process.written_by and is_named else []
    above = [_program(name) for _, name in ancestors(event)]
    around = [*writer, *above]
    nearest = [name for name in above if not names.is_named(name, names.SHELLS)][:1]
    for story, holds in (
        (Story.MEMORY, event.kind == "fileless"),
        (Story.DOWNLOAD, _has(writer, names.DOWNLOADERS)),
        (Story.SERVICE, _has(above, names.SERVERS)),
        (Story.HAND_INSTALL, known.session == "exec" and _has(around, names.PACKAGE_MANAGERS)),
        (Story.SESSION, known.session == "exec"),
        (Story.PACKAGE_INSTALL, _has(around, names.PACKAGE_MANAGERS)),
        (Story.BUILD, _has(around, names.BUILD_TOOLS | names.COMPILERS)),
        (Story.SERVICE, _has(nearest, names.RUNTIMES)),
        (Story.SESSION, not nearest and _has(above[:1], names.INTERACTIVE_SHELLS)),
    ):
        if holds:
            return story
    return Story.OTHER


def ancestors(event: wire.Event) -> list[tuple[int, str]]:
    """Return (pid, name) of the parent and the ancestors inside the container, nearest first."""
    parent = event.process.parent
    above = [(parent.pid, parent.name)] if parent else []
    # Some sensors name the parent among the ancestors too.
    above += [(each.pid, each.name) for each in event.process.ancestors if not parent or each.pid != parent.pid]
    return [(pid, name) for pid, name in above if not name.startswith(OUTSIDE)]


def programs(processes: Iterable[str]) -> set[str]:
    """Return the programs of processes that are written as "pid name"."""
    return {_program(each.partition(" ")[2]) for each in processes}


def incident_name(story: str, place: str, files: str) -> str:
    """Return the name of an incident, such as "Package install in ci/runner, 214 files"."""
    label = Story(story).label if story in LABELS else "Incident"
    return f"{label} in {place}, {files} file{'' if files == '1' else 's'}"


def _has(programs: Iterable[str], kinds: frozenset[str]) -> bool:
    return any(names.is_named(each, kinds) for each in programs)


def _program(name: str) -> str:
    # npm and others add to their names what they do: "npm install esbuild".
    return name.partition(" ")[0]
