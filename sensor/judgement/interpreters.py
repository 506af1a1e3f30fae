"""Interpreters: the file that `perl …`, `sh …` or `python …` is given to run, and which files that they read are code.

Options are read for what argv names. What argv does not show (modules, start-up files, what an environment variable
names, standard input) is among the files that the interpreter opens in its first moments, of which many are data: the
name's ending tells code, and a shell reads hardly anything else itself.
"""

from __future__ import annotations

import collections
import functools
import itertools
import re
from typing import TYPE_CHECKING, Final, NamedTuple

from sensor.judgement.interpreter_table import INTERPRETERS, Interpreter
from sensor.judgement.loading_options import is_unknown, named_files, options, plain_option

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

DATA: Final = re.compile(
    rb"/etc/(?:hosts|hostname|resolv\.conf|passwd|group|shadow|nsswitch\.conf|localtime|timezone|inputrc|ld\.so\.cache|"
    rb"mtab|services|protocols|gai\.conf|host\.conf|terminfo/.*|locale\..*)"
    rb"|/usr/(?:share|lib)/(?:locale|terminfo|zoneinfo|i18n)/.*|/lib/terminfo/.*|.*\.so(?:\.[\d.]+)?|.*_history"
)
"""What a shell, its loader and its C library read besides programs."""
INPUT: Final = b"-"
_STANDARD_INPUT: Final = frozenset({INPUT, b"/dev/stdin", b"/dev/fd/0", b"/proc/self/fd/0"})


class Script(NamedTuple):
    """What an interpreter runs: the names of its file, the likeliest first; () where it runs none, or is not one.

    Of several files each may be the program, or an option's value or the program's argument; the likeliest is first.
    `may_be_absent`: or a command, which is not a file.
    """

    files: tuple[tuple[bytes, ...], ...] = ()
    may_be_absent: bool = False


class LoadedFile(NamedTuple):
    """The names of a file that an option has an interpreter load; not loaded if one of `behind` is a file: the script.

    It is an argument of that script then.
    """

    names: tuple[bytes, ...]
    behind: tuple[bytes, ...]


def script(program: bytes, argv: Sequence[bytes]) -> Script:
    """Return the file that an interpreter runs.

    `program` is the path of the executable. Busybox is the shell that argv says: `sh`, or the word after `busybox`.
    """
    interpreter, argv = _interpreter(program, argv)
    if interpreter is None:
        return Script()
    file, possible = _file(interpreter, collections.deque(argv[1:]))
    files = [*dict.fromkeys([*possible, *([file] if file and file not in _STANDARD_INPUT else [])])]
    # A value hardly ends as code does.
    files.sort(key=lambda name: bool(possible) and not name.lower().endswith(interpreter.endings))
    may_be_command = interpreter.has_commands and not any(each.endswith(interpreter.endings) for each in files)
    return Script(tuple(_with_endings(interpreter, each) for each in files), bool(possible) or may_be_command)


def loaded_files(program: bytes, argv: Sequence[bytes]) -> Iterator[LoadedFile]:
    """Yield each file that options have an interpreter load besides its program."""
    interpreter, argv = _interpreter(program, argv)
    if interpreter is not None:
        for name, behind in named_files(interpreter, argv):
            others = tuple(other for each in behind for other in _with_endings(interpreter, each))
            yield LoadedFile(_with_endings(interpreter, name), others)


def _with_endings(interpreter: Interpreter, name: bytes) -> tuple[bytes, ...]:
    return (name, *(name.rstrip(b"/") + more for more in interpreter.also))


def loaded_names(program: bytes, argv: Sequence[bytes]) -> Iterator[tuple[bytes, ...]]:
    """Yield the names of each file that options certainly have an interpreter load, the likeliest first."""
    return (each.names for each in loaded_files(program, argv) if not each.behind)


def may_name_more(program: bytes, argv: Sequence[bytes]) -> bool:
    """Return whether arguments behind these may name code, or the last of these, which may be cut off, does."""
    interpreter, argv = _interpreter(program, argv)
    if interpreter is None:
        # Of Busybox the name of the applet may be cut off.
        return program.rpartition(b"/")[2].startswith(b"busybox") and len(argv) < 2
    last, left = argv[-1:], [*argv[1:], b"more"]
    if not interpreter.is_worded:
        rest = collections.deque(left)
        file, _ = _file(interpreter, rest)
        if not rest or file in last:
            return True
    loads, rest = interpreter.loads, collections.deque(left)
    if loads is None:
        return False
    return any(value in last and loads.fullmatch(option) for option, value, _ in options(interpreter, rest)) or not rest


def is_code(program: bytes, argv: Sequence[bytes], path: bytes, *, is_standard_input: bool) -> bool:
    """Return whether a file that an interpreter reads is code of its; `path` is the file's own, without symlinks."""
    interpreter, argv = _interpreter(program, argv)
    if interpreter is None:
        return False
    if is_standard_input:
        return _file(interpreter, collections.deque(argv[1:]))[0] in _STANDARD_INPUT
    if interpreter.reads_code:
        return DATA.fullmatch(path) is None
    if path.lower().endswith(interpreter.endings):
        return True
    return path.rpartition(b"/")[2] in _named_files(program, tuple(argv))


@functools.lru_cache(maxsize=8)
def _named_files(program: bytes, argv: tuple[bytes, ...]) -> frozenset[bytes]:
    """Return the names, without directories, of the files that arguments name: many, of a process that reads many."""
    named = itertools.chain(*script(program, argv).files, *loaded_names(program, argv))
    return frozenset(each.rpartition(b"/")[2] for each in named)


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


def _file(interpreter: Interpreter, rest: collections.deque[bytes]) -> tuple[bytes | None, Collection[bytes]]:
    """Return the file that the arguments name, INPUT where standard input is the program; None where it is neither.

    And those before it of which each may be the file, or the value of an option that is not known.
    """
    possible: dict[bytes, None] = {}
    may_be_value = has_word = False
    while rest:
        argument = plain_option(interpreter, rest.popleft(), rest)
        is_possible, may_be_value = may_be_value, is_unknown(interpreter, argument)
        if argument == b"--":
            return (None if interpreter.text else _next(rest) or INPUT), possible
        if argument == INPUT:
            return (_next(rest) or INPUT if interpreter.plus else INPUT), possible
        if argument.startswith(b"-") or (interpreter.plus and argument.startswith(b"+")):
            read = _long if argument.startswith(b"--") else _cluster
            ended, file = read(interpreter, argument.lstrip(b"-+"), rest)
            if ended:
                return file, possible
        elif is_possible:
            possible[argument] = None
        elif not has_word and argument in interpreter.commands:
            return None, possible
        elif not has_word and argument in interpreter.words:
            has_word = True
        else:
            return (None if interpreter.text else argument), possible
    return (None if interpreter.text or possible else INPUT), possible


def _next(rest: collections.deque[bytes]) -> bytes | None:
    return rest.popleft() if rest else None


def _long(interpreter: Interpreter, option: bytes, rest: collections.deque[bytes]) -> tuple[bool, bytes | None]:
    """Read a long option: whether it ends the search for the file, and the file it names."""
    name, equals, value = option.partition(b"=")
    name = b"--" + name.replace(b"_", b"-")
    if name in interpreter.long_ends:
        return True, None
    if name in interpreter.long_file:
        return True, value or _next(rest)
    if name in interpreter.long_takes and not equals:
        _next(rest)
    return False, None


def _cluster(interpreter: Interpreter, letters: bytes, rest: collections.deque[bytes]) -> tuple[bool, bytes | None]:
    """Read short options that stand together: whether they end the search for the file, and the file they name."""
    for at in range(len(letters)):
        letter, left = letters[at : at + 1], letters[at + 1 :]
        if letter in interpreter.ends:
            return True, None
        if letter in interpreter.input:
            return True, INPUT
        if letter in interpreter.next_only:
            _next(rest)
        elif letter in interpreter.attached:
            break
        elif letter in interpreter.file:
            return True, left or _next(rest)
        elif letter in interpreter.takes:
            if not left:
                _next(rest)
            break
    return False, None
