"""Command lines of the dynamic loader, as start scripts of bundles with libraries of their own have them. Pure."""

from __future__ import annotations

import re
from posixpath import dirname, join, normpath
from typing import Final

from drift.alerts.domain import program_names as names
from sensor import wire

_WITH_VALUE: Final = frozenset({"--library-path", "--argv0", "--inhibit-rpath"})
_ALONE: Final = frozenset({"--inhibit-cache"})
"""The loader's options that load nothing else, as `--preload` and `--audit` do."""

_SEPARATOR: Final = re.compile(r"[:;]")


def is_bundled(event: wire.Event) -> bool:
    """Return whether the loader is given the libraries that a program brings along, beside itself."""
    process = event.process
    directories = _SEPARATOR.split(_library_path(process.argv[1:])) if event.kind == "loader" else [""]
    return all(
        each and "$" not in each and _is_beside(normpath(join(process.cwd or "", each)), process.path)
        for each in directories
    )


def _library_path(arguments: list[str]) -> str:
    """Return the value of --library-path before the program, behind which options are the program's; "" for none."""
    found, rest = "", list(arguments)
    while rest and rest[0].startswith("--"):
        name, _, value = rest.pop(0).partition("=")
        if name in _WITH_VALUE:
            value = value or (rest.pop(0) if rest else "")
        elif name not in _ALONE:
            return ""
        found = value if name == "--library-path" else found
    return found if rest else ""


def _is_beside(directory: str, program: str) -> bool:
    """Return whether a directory is in the program's, or next to it, and not where anybody or the system writes."""
    own = dirname(program)
    around = dirname(own) if dirname(own).count("/") > 1 else own  # what is in /opt has nothing to do with each other
    place = f"{directory}/"
    is_known = place.startswith(names.WRITABLE) or names.SYSTEM_PLACE.search(place)
    return own != "/" and place.startswith((f"{own}/", f"{around}/")) and not is_known
