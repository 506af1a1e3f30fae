"""The code that an interpreter's options have it load besides its program: what of argv is not the program's own."""

from __future__ import annotations

import collections
import re
import urllib.parse
from typing import TYPE_CHECKING, Final

from sensor.judgement.interpreter_table import JAVA, PHP, POWERSHELL

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sensor.judgement.interpreter_table import Interpreter

_FILE_URL: Final = re.compile(rb"file:(?://(?:localhost)?)?(/[^?#]*).*", re.DOTALL | re.IGNORECASE)
_PHP_FILE: Final = re.compile(rb"auto_(?:ap|pre)pend_file\s*=\s*([^\n]*)")
_DASH: Final = re.compile(rb"^\xe2\x80[\x93-\x95]")
"""The longer dashes, which PowerShell takes for one."""


def named_files(interpreter: Interpreter, argv: Sequence[bytes]) -> Iterator[bytes]:
    """Yield the name of each file, as argv has it."""
    if interpreter.loads is None:
        return
    for option, value in _options(interpreter, collections.deque(argv[1:])):
        if interpreter.loads.fullmatch(option):
            for name in dict.fromkeys(_files(interpreter, option, value)):
                if b"/" in name or (name and not interpreter.has_modules):
                    yield name


def _options(interpreter: Interpreter, rest: collections.deque[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """Yield each option before the program with its value, b"" without one, and (b"", the first plain argument).

    What follows are the program's own arguments. An option that gives the program's text does not end the options.
    """
    read = _worded_option if interpreter.is_worded else _lettered_options
    while rest:
        argument = rest.popleft()
        if interpreter is POWERSHELL:
            argument = _DASH.sub(b"-", argument)
        if argument in interpreter.words or argument in interpreter.commands:
            continue
        if argument.startswith(b"@") and interpreter is JAVA:
            yield b"@", argument[1:]
        elif argument in {b"-", b"--"}:
            return
        elif not argument.startswith(b"-"):
            yield b"", argument
            return
        else:
            for option, value in read(interpreter, argument, rest):
                yield option, value
                if interpreter.program_words is not None and interpreter.program_words.fullmatch(option):
                    return


def _worded_option(
    interpreter: Interpreter, argument: bytes, rest: collections.deque[bytes]
) -> Iterator[tuple[bytes, bytes]]:
    if interpreter.value_words is not None and interpreter.value_words.fullmatch(argument):
        yield argument, rest.popleft() if rest else b""
        return
    option, _, value = argument.partition(b"=" if argument.startswith((b"--", b"-D")) else b":")
    yield option, value


def _lettered_options(
    interpreter: Interpreter, argument: bytes, rest: collections.deque[bytes]
) -> Iterator[tuple[bytes, bytes]]:
    if argument.startswith(b"--"):
        option, equals, value = argument.partition(b"=")
        option = option.replace(b"_", b"-")
        if not equals and option in interpreter.long_ends:
            value = _text(rest)
        elif not equals and option in interpreter.long_takes | interpreter.long_file:
            value = rest.popleft() if rest else b""
        yield option, value
        return
    for at in range(1, len(argument)):
        letter, left = argument[at : at + 1], argument[at + 1 :]
        if letter in interpreter.attached:
            return
        if letter in interpreter.ends and not (len(left) == 1 and left in interpreter.ends):
            yield b"-" + letter, left or _text(rest)
            return
        if letter in interpreter.takes + interpreter.file:
            yield b"-" + letter, left.removeprefix(b"=") or (rest.popleft() if rest else b"")
            return


def _text(rest: collections.deque[bytes]) -> bytes:
    """Return a program's text that follows its option, where one does."""
    return rest.popleft() if rest and not rest[0].startswith(b"-") else b""


def _files(interpreter: Interpreter, option: bytes, value: bytes) -> Iterator[bytes]:
    """Yield the files that an option's value names."""
    if interpreter is PHP:
        for each in _PHP_FILE.findall(value):
            yield each
            yield each.strip(b" \t\"'")
        return
    url = _FILE_URL.fullmatch(value)
    if interpreter is not JAVA:
        yield value if url is None else urllib.parse.unquote_to_bytes(url[1])
        return
    if value.startswith(b"@"):
        yield value[1:]  # more arguments are there, also where a value belongs
    if option in {b"-jar", b"@"}:
        yield value
    elif not option:
        yield value if b"/" in value else b""  # a source file; else a class
    elif option in {b"-javaagent", b"-agentpath"}:
        yield value.partition(b"=")[0]
    else:
        yield from (value.partition(b"=")[2] if option == b"--patch-module" else value).split(b":")
