"""Who stands above a process, by names that are checked against files: builds, cron, persons' sessions. Pure."""

from __future__ import annotations

from functools import lru_cache
from posixpath import basename
from typing import Final

from drift.alerts.domain import program_names as names
from sensor import wire

INTERPRETERS: Final = names.RUNTIMES | names.SHELLS
BUILDERS: Final = names.PACKAGE_MANAGERS | names.BUILD_TOOLS | names.RUNNERS
SERVICES: Final = names.SERVERS - names.LOGIN_DAEMONS


def names_above(event: wire.Event) -> list[str]:
    """Return the names of parent and ancestors, nearest first."""
    parent = event.process.parent
    return [*([checked_name(parent)] if parent else []), *(each.name for each in event.process.ancestors)]


def checked_name(process: wire.Parent | wire.Writer) -> str:
    """Return a process's name; its file's name where the process gave itself another one.

    Any process may call itself dpkg, and any file in /tmp may be called so: then its path is returned, which no table
    has. Scripts have their own name and the path of their interpreter.
    """
    return process.name if process.path is None else _checked_name(process.name, process.path)


@lru_cache(maxsize=1_024)  # some ten times an alert, of few parents and writers
def _checked_name(own_name: str, path: str) -> str:
    if path.startswith(names.WRITABLE):
        return path
    file = basename(path)
    if file == "entrypoint" and path.startswith("/tekton/"):
        return "tekton-entrypoint"
    is_script = names.is_named(file, INTERPRETERS)
    is_same = is_script or file[:15] == own_name[:15] or file.startswith(own_name.partition(" ")[0][:15])
    return own_name if is_same else file


def is_build(line: list[str]) -> bool:
    return any(names.is_named(each, BUILDERS) for each in line)


def build_above(event: wire.Event) -> str:
    """Return the nearest build program above; "" where a server is nearer.

    The container's first process does not count where it is one that launches services: `npm start` stands above
    everything in many a service's container.
    """
    ancestors = event.process.ancestors
    line = names_above(event)
    if ancestors and names.is_named(ancestors[-1].name, names.LAUNCHERS):
        line = line[:-1]
    for each in line:
        if names.is_named(each, SERVICES):
            return ""
        if is_build([each]):
            return each
    return ""


def below_cron(line: list[str]) -> list[str]:
    """Return the part of the line that stands below cron or a person's login shell: they start things, not a server."""
    for place, each in enumerate(line):
        is_login = names.is_named(each, names.LOGIN_DAEMONS) and place > 0
        if each[:15] in names.CRON or (is_login and line[place - 1][:15] in names.INTERACTIVE_SHELLS):
            return line[:place]
    return line


def is_session(line: list[str]) -> bool:
    """Return whether a person's shell stands above; what a login daemon starts itself is not of a session."""
    if not line or names.is_named(line[0], names.LOGIN_DAEMONS):
        return False
    above = [each for each in line if each[:15] not in names.SHELLS]
    if above and names.is_named(above[0], names.LOGIN_DAEMONS):
        return True  # whatever starts the daemon
    in_notebook = [each for each in above if not names.is_named(each, names.RUNTIMES)][:1]
    if in_notebook and in_notebook[0][:15] in names.NOTEBOOKS and line[0][:15] in names.INTERACTIVE_SHELLS:
        return True
    return all(each[:15] in names.SESSION_STARTS for each in line)


def is_interactive(line: list[str]) -> bool:
    return is_session(line) and line[0][:15] in names.INTERACTIVE_SHELLS
