"""What `ld.so …` runs and loads: the options of glibc's and musl's dynamic loaders."""

from __future__ import annotations

import dataclasses
import re
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
_LOADER: Final = re.compile(rb"ld[-.6].*|libc\.so.*", re.DOTALL)
"""Names of dynamic loaders, the same as in the kernel program."""
_SEPARATORS: Final = bytes.maketrans(b" :", b"::")
_SYSTEM: Final = (b"/lib64", b"/usr/lib64", b"/lib", b"/usr/lib", b"/usr/local/lib")


@dataclasses.dataclass(slots=True)
class LoaderArguments:
    """What a loader's argv names: the program, libraries loaded before its own, and directories to find them in.

    `argv` is the program's own: its name, or what `--argv0` makes of it, and the arguments behind it.
    """

    program: bytes | None = None
    argv: list[bytes] = dataclasses.field(default_factory=list)
    libraries: list[bytes] = dataclasses.field(default_factory=list)
    directories: list[bytes] = dataclasses.field(default_factory=list)


def is_loader(path: bytes) -> bool:
    """Return whether a program is a dynamic loader, by its name."""
    return _LOADER.fullmatch(path.rpartition(b"/")[2]) is not None


def interpreter_called(program: bytes, argv: Sequence[bytes]) -> tuple[bytes, Sequence[bytes]]:
    """Return the program that runs and its argv: of a loader, what that was given to run."""
    if not is_loader(program):
        return program, argv
    found = loader_arguments(argv)
    return (found.program, found.argv) if found.program is not None else (program, argv)


def loaded_files(argv: Sequence[bytes], library_path: Sequence[bytes]) -> tuple[list[bytes] | None, list[list[bytes]]]:
    """The paths where a loader may find its program, None where it runs none; and those of each preloaded library."""
    found = loader_arguments(argv)
    directories = [*found.directories, *library_path]
    program = None if found.program is None else search_paths(found.program, directories)
    return program, [search_paths(library, directories) for library in found.libraries]


def loader_arguments(argv: Sequence[bytes]) -> LoaderArguments:
    """Read a loader's argv. `program` is None where it runs none.

    Options that take a value may have it as the next argument or, with musl, after `=`.
    """
    found = LoaderArguments()
    rest = iter(argv[1:])
    for argument in rest:
        if argument in _NOTHING_RUNS:
            return LoaderArguments()
        if argument == b"--":
            found.program = next(rest, None)
        elif argument.startswith(b"--"):
            _read_option(found, argument, rest)
            continue
        else:
            found.program = argument
        break
    if found.program is not None:
        found.argv = [*(found.argv or [found.program]), *rest]
    return found


def _read_option(found: LoaderArguments, argument: bytes, rest: Iterator[bytes]) -> None:
    name, given, value = argument.partition(b"=")
    if name not in _WITH_VALUE:
        return
    if not given:
        value = next(rest, b"")
    parts = [part for part in value.translate(_SEPARATORS).split(b":") if part]
    if name in {b"--preload", b"--audit"}:
        found.libraries += parts
    elif name == b"--library-path":
        found.directories += parts
    elif name == b"--argv0":
        found.argv = [value]


def search_paths(name: bytes, directories: Sequence[bytes]) -> list[bytes]:
    """The paths where a loader may find `name`, in its order: a name without `/` is searched for in directories."""
    if b"/" in name or not name:
        return [name] if name else []
    # musl takes it from the working directory.
    return [*(directory.rstrip(b"/") + b"/" + name for directory in (*directories, *_SYSTEM)), name]
