"""The file that `perl …`, `sh …` or `python …` runs: the options of interpreters, as their manuals give them.

Only a file that argv names: a program on standard input, given by `-c` or `-e`, or loaded as a module shows none.
"""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


@dataclasses.dataclass(frozen=True, slots=True)
class _Grammar:
    """How one interpreter's options are read. Letters are of short options, which may stand together.

    After one of `ends` no file is run. One of `takes` has its value in the same argument or, where there is
    nothing left of that, in the next; one of `next_only` always in the next; one of `attached` never. The value of
    one of `file` is the file. `words` may stand before the file (`deno run`). `also` is what may follow
    the file's name: a directory's main program, an extension that was left out.
    """

    ends: bytes = b""
    takes: bytes = b""
    next_only: bytes = b""
    attached: bytes = b""
    file: bytes = b""
    long_ends: frozenset[bytes] = frozenset()
    long_takes: frozenset[bytes] = frozenset()
    words: frozenset[bytes] = frozenset()
    plus: bool = False
    also: tuple[bytes, ...] = ()


_SHELL: Final = _Grammar(
    ends=b"cs",
    next_only=b"oO",
    long_ends=frozenset({b"--version", b"--help"}),
    long_takes=frozenset({b"--rcfile", b"--init-file", b"--emulate"}),
    plus=True,
)
_PYTHON: Final = _Grammar(
    ends=b"cmhV?",
    takes=b"WX",
    long_ends=frozenset({b"--version", b"--help", b"--help-all", b"--help-env", b"--help-xoptions"}),
    long_takes=frozenset({b"--check-hash-based-pycs"}),
    also=(b"/__main__.py",),
)
_PERL: Final = _Grammar(ends=b"eEvVh", takes=b"I", attached=b"0lCDdFiMmx")
_RUBY: Final = _Grammar(
    ends=b"evh",
    takes=b"rICE",
    attached=b"0FKWTix",
    long_ends=frozenset({b"--version", b"--help", b"--copyright"}),
    long_takes=frozenset({b"--encoding", b"--external-encoding", b"--internal-encoding", b"--backtrace-limit"}),
)
_NODE: Final = _Grammar(
    ends=b"epvh",
    takes=b"rC",
    long_ends=frozenset({b"--eval", b"--print", b"--version", b"--help", b"--v8-options", b"--run"}),
    long_takes=frozenset(
        {b"--require", b"--import", b"--loader", b"--experimental-loader", b"--conditions", b"--env-file", b"--title"}
    ),
    words=frozenset({b"inspect"}),
    also=(b".js", b".cjs", b".mjs", b"/index.js"),
)
_DENO: Final = _Grammar(
    ends=b"eh",
    takes=b"crL",
    long_takes=frozenset({b"--config", b"--import-map", b"--reload", b"--log-level", b"--cert", b"--seed"}),
    long_ends=frozenset({b"--version", b"--help"}),
    words=frozenset({b"run"}),
)
_PHP: Final = _Grammar(
    ends=b"rRBEihmvsw",
    takes=b"cdzStgp",
    file=b"fF",
    long_ends=frozenset({b"--ini", b"--rf", b"--rc", b"--re", b"--rz", b"--ri", b"--run", b"--version", b"--help"}),
)
_LUA: Final = _Grammar(ends=b"b", takes=b"elj", attached=b"O")
_GRAMMARS: Final = (
    (re.compile(rb"(?:ba|da|a|z|k|mk|r|hu)?sh\d*"), _SHELL),
    (re.compile(rb"(?:python|pypy)[\d.]*[a-z]?"), _PYTHON),
    (re.compile(rb"perl[\d.]*"), _PERL),
    (re.compile(rb"ruby[\d.]*"), _RUBY),
    (re.compile(rb"(?:node|nodejs)[\d.]*"), _NODE),
    (re.compile(rb"(?:bun|deno)"), _DENO),
    (re.compile(rb"php[\d.]*"), _PHP),
    (re.compile(rb"lua(?:jit)?[\d.-]*"), _LUA),
)


def script_names(program: bytes, argv: Sequence[bytes]) -> tuple[bytes, ...]:
    """Return the names of the file that an interpreter runs, the likeliest first; () where it runs none, or is not one.

    `program` is the path of the executable. Busybox is the shell that argv says: `sh`, or the word after `busybox`.
    """
    name, argv = _applet(program.rsplit(b"/", 1)[-1], argv)
    grammar = next((each for pattern, each in _GRAMMARS if pattern.fullmatch(name)), None)
    file = _file(grammar, iter(argv[1:])) if grammar is not None else None
    if not file or grammar is None:
        return ()
    return (file, *(file.rstrip(b"/") + more for more in grammar.also))


def _applet(name: bytes, argv: Sequence[bytes]) -> tuple[bytes, Sequence[bytes]]:
    if not name.startswith(b"busybox") or not argv:
        return name, argv
    called = argv[0].rsplit(b"/", 1)[-1].removeprefix(b"-")
    if not called.startswith(b"busybox"):
        return called, argv
    return (argv[1], argv[1:]) if len(argv) > 1 else (name, argv)


def _file(grammar: _Grammar, rest: Iterator[bytes]) -> bytes | None:
    for argument in rest:
        if argument == b"--":
            return next(rest, None)
        if argument == b"-":
            return next(rest, None) if grammar is _SHELL else None
        if argument.startswith(b"--"):
            if argument in grammar.long_ends or argument.partition(b"=")[0] in grammar.long_ends:
                return None
            if argument in grammar.long_takes:
                next(rest, None)
        elif argument.startswith(b"-") or (grammar.plus and argument.startswith(b"+")):
            ended, file = _cluster(grammar, argument[1:], rest)
            if ended:
                return file
        elif argument not in grammar.words:
            return argument
    return None


def _cluster(grammar: _Grammar, letters: bytes, rest: Iterator[bytes]) -> tuple[bool, bytes | None]:
    """Read short options that stand together: whether they end the search for the file, and the file they name."""
    for at in range(len(letters)):
        letter, left = letters[at : at + 1], letters[at + 1 :]
        if letter in grammar.ends:
            return True, None
        if letter in grammar.next_only:
            next(rest, None)
        elif letter in grammar.attached:
            break
        elif letter in grammar.file:
            return True, left or next(rest, None)
        elif letter in grammar.takes:
            if not left:
                next(rest, None)
            break
    return False, None
