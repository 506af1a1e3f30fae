"""Interpreters: the file that `perl …`, `sh …` or `python …` is given to run, and which files that they read are code.

Options are read for what argv names. What argv does not show (modules, start-up files, what an environment variable
names, standard input) is among the files that the interpreter opens in its first moments, of which many are data: the
name's ending tells code, and a shell reads hardly anything else itself.
"""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING, Final

from sensor.judgement.interpreter_table import INTERPRETERS, SHELL, Interpreter
from sensor.judgement.loading_options import named_files

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

DATA: Final = re.compile(
    rb"/etc/(?:hosts|hostname|resolv\.conf|passwd|group|shadow|nsswitch\.conf|localtime|timezone|inputrc|ld\.so\.cache|"
    rb"mtab|services|protocols|gai\.conf|host\.conf|terminfo/.*|locale\..*)"
    rb"|/usr/(?:share|lib)/(?:locale|terminfo|zoneinfo|i18n)/.*|/lib/terminfo/.*|.*\.so(?:\.[\d.]+)?|.*_history"
)
"""What a shell, its loader and its C library read besides programs."""
INPUT: Final = b"-"
_STANDARD_INPUT: Final = frozenset({INPUT, b"/dev/stdin", b"/dev/fd/0", b"/proc/self/fd/0"})


def script_names(program: bytes, argv: Sequence[bytes]) -> tuple[bytes, ...]:
    """Return the names of the file that an interpreter runs, the likeliest first; () where it runs none, or is not one.

    `program` is the path of the executable. Busybox is the shell that argv says: `sh`, or the word after `busybox`.
    """
    interpreter, argv = _interpreter(program, argv)
    file = _file(interpreter, iter(argv[1:])) if interpreter is not None else None
    if not file or file in _STANDARD_INPUT or interpreter is None:
        return ()
    return (file, *(file.rstrip(b"/") + more for more in interpreter.also))


def loaded_names(program: bytes, argv: Sequence[bytes]) -> Iterator[tuple[bytes, ...]]:
    """Yield the names of each file that options have an interpreter load besides its program, the likeliest first."""
    interpreter, argv = _interpreter(program, argv)
    if interpreter is not None:
        for name in named_files(interpreter, argv):
            yield (name, *(name.rstrip(b"/") + more for more in interpreter.also))


def is_code(program: bytes, argv: Sequence[bytes], path: bytes, *, is_standard_input: bool) -> bool:
    """Return whether a file that an interpreter reads is code of its; `path` is the file's own, without symlinks."""
    interpreter, argv = _interpreter(program, argv)
    if interpreter is None:
        return False
    if is_standard_input:
        return _file(interpreter, iter(argv[1:])) in _STANDARD_INPUT
    if interpreter.reads_code:
        return DATA.fullmatch(path) is None
    if path.lower().endswith(interpreter.endings):
        return True
    name = path.rpartition(b"/")[2]
    named = itertools.chain(script_names(program, argv), *loaded_names(program, argv))
    return any(each.rpartition(b"/")[2] == name for each in named)


def is_interpreter(program: bytes, argv: Sequence[bytes]) -> bool:
    """Return whether a program's arguments and reads are looked at; True of Busybox where argv is not known."""
    return _interpreter(program, argv)[0] is not None or (
        not argv and program.rpartition(b"/")[2].startswith(b"busybox")
    )


def knows(name: bytes) -> bool:
    """Return whether a program with this name is an interpreter whose arguments are read."""
    return any(pattern.fullmatch(name) for pattern, _ in INTERPRETERS)


def _interpreter(program: bytes, argv: Sequence[bytes]) -> tuple[Interpreter | None, Sequence[bytes]]:
    name, argv = _applet(program.rsplit(b"/", 1)[-1], argv)
    return next((each for pattern, each in INTERPRETERS if pattern.fullmatch(name)), None), argv


def _applet(name: bytes, argv: Sequence[bytes]) -> tuple[bytes, Sequence[bytes]]:
    """Return the program that Busybox is, as argv says: `sh`, `busybox sh`, `busybox busybox /bin/sh`."""
    while name.startswith(b"busybox") and argv:
        called = argv[0].rsplit(b"/", 1)[-1].removeprefix(b"-")
        if not called.startswith(b"busybox"):
            return called, argv
        argv = argv[1:]
    return name, argv


def _file(interpreter: Interpreter, rest: Iterator[bytes]) -> bytes | None:
    """Return the file that the arguments name, INPUT where standard input is the program; None where it is neither."""
    missing = None if interpreter.text else INPUT
    for argument in rest:
        if argument == b"--":
            return None if interpreter.text else next(rest, INPUT)
        if argument == INPUT:
            return next(rest, INPUT) if interpreter is SHELL else INPUT
        if argument.startswith(b"-") or (interpreter.plus and argument.startswith(b"+")):
            read = _long if argument.startswith(b"--") else _cluster
            ended, file = read(interpreter, argument.lstrip(b"-+"), rest)
            if ended:
                return file
        elif argument in interpreter.commands:
            return None
        elif argument not in interpreter.words:
            return None if interpreter.text else argument
    return missing


def _long(interpreter: Interpreter, option: bytes, rest: Iterator[bytes]) -> tuple[bool, bytes | None]:
    """Read a long option: whether it ends the search for the file, and the file it names."""
    name, equals, value = option.partition(b"=")
    if b"--" + name in interpreter.long_ends:
        return True, None
    if b"--" + name in interpreter.long_file:
        return True, value or next(rest, None)
    if b"--" + name in interpreter.long_takes and not equals:
        next(rest, None)
    return False, None


def _cluster(interpreter: Interpreter, letters: bytes, rest: Iterator[bytes]) -> tuple[bool, bytes | None]:
    """Read short options that stand together: whether they end the search for the file, and the file they name."""
    for at in range(len(letters)):
        letter, left = letters[at : at + 1], letters[at + 1 :]
        if letter in interpreter.ends:
            return True, None
        if letter in interpreter.input:
            return True, INPUT
        if letter in interpreter.next_only:
            next(rest, None)
        elif letter in interpreter.attached:
            break
        elif letter in interpreter.file:
            return True, left or next(rest, None)
        elif letter in interpreter.takes:
            if not left:
                next(rest, None)
            break
    return False, None
