"""Which program does `ld.so …` run? Options of glibc's and musl's dynamic loaders."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

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


def program_of(argv: Sequence[bytes]) -> bytes | None:
    """The path of the program in a loader's argv, or None where it runs none.

    Options that take a value may have it as the next argument or, with musl, after `=`.
    """
    rest = iter(argv[1:])
    for argument in rest:
        if argument in _NOTHING_RUNS:
            return None
        if argument in _WITH_VALUE:
            next(rest, None)
        elif argument == b"--":
            return next(rest, None)
        elif not argument.startswith(b"--"):
            return argument
    return None
