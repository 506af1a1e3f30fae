"""What does `ld.so …` run and load? Options of glibc's and musl's dynamic loaders."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_WITH_VALUE: Final = frozenset(
    {
        b"--library-path",
        b"--glibc-hwcaps-prepend",
        b"--glibc-hwcaps-mask",
        b"--inhibit-rpath",
        b"--audit",
        b"--preload",
        b"--argv0",
    }
)
_NOTHING_RUNS: Final = frozenset(
    {b"--list", b"--verify", b"--list-tunables", b"--list-diagnostics", b"--help", b"--version"}
)
_SEPARATORS: Final = bytes.maketrans(b" :", b"::")
_SYSTEM: Final = (b"/lib64", b"/usr/lib64", b"/lib", b"/usr/lib", b"/usr/local/lib")


@dataclasses.dataclass(slots=True)
class Loading:
    """What a loader's argv names: the program, libraries put before its own, and folders to look for them in."""

    program: bytes | None = None
    libraries: list[bytes] = dataclasses.field(default_factory=list)
    folders: list[bytes] = dataclasses.field(default_factory=list)


def loading(argv: Sequence[bytes]) -> Loading:
    """What a loader is told by its argv. `program` is None where it runs none.

    Options that take a value may have it as the next argument or, with musl, after `=`.
    """
    found = Loading()
    rest = iter(argv[1:])
    for argument in rest:
        if argument in _NOTHING_RUNS:
            return Loading()
        if argument == b"--":
            found.program = next(rest, None)
        elif argument.startswith(b"--"):
            _option(found, argument, rest)
            continue
        else:
            found.program = argument
        break
    return found


def _option(found: Loading, argument: bytes, rest: Iterator[bytes]) -> None:
    name, given, value = argument.partition(b"=")
    if name not in _WITH_VALUE:
        return
    if not given:
        value = next(rest, b"")
    parts = [part for part in value.translate(_SEPARATORS).split(b":") if part]
    if name in {b"--preload", b"--audit"}:
        found.libraries += parts
    elif name == b"--library-path":
        found.folders += parts


def places(name: bytes, folders: Sequence[bytes]) -> list[bytes]:
    """The paths where a loader may find `name`, in its order: a name without `/` is looked for in its folders.

    musl takes it from the working directory.
    """
    if b"/" in name:
        return [name]
    return [*(folder.rstrip(b"/") + b"/" + name for folder in (*folders, *_SYSTEM)), name]
