"""The code that an interpreter's options have it load besides its program: what of argv is not the program's own."""

from __future__ import annotations

import collections
import re
import urllib.parse
from typing import TYPE_CHECKING, Final, NamedTuple

from sensor.judgement.interpreter_table import AWK, JAVA, MAWK, PHP, POWERSHELL

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sensor.judgement.interpreter_table import Interpreter

_FILE_URL: Final = re.compile(rb"file:(?://(?:localhost)?)?(/[^?#]*).*", re.DOTALL | re.IGNORECASE)
_PHP_FILE: Final = re.compile(rb"(?:auto_(?:ap|pre)pend_file|opcache\.preload)\s*=\s*([^\n]*)")
_MOST_BEHIND: Final = 8
"""Arguments behind options that are not known of which each may be the program; more are taken for values."""
_DASH: Final = re.compile(rb"^\xe2\x80[\x93-\x95]")
"""The longer dashes, which PowerShell takes for one."""


class OptionFile(NamedTuple):
    """A file that an option names. It is the program's own argument where one of those that it is `behind` is a file.

    Those follow an option that is not known: each is its value, or the program.
    """

    name: bytes
    behind: tuple[bytes, ...]


def named_files(interpreter: Interpreter, argv: Sequence[bytes]) -> Iterator[OptionFile]:
    """Yield each file that options name, as argv has it."""
    if interpreter.loads is None:
        return
    for option, value, behind in options(interpreter, collections.deque(argv[1:])):
        if interpreter.loads.fullmatch(option):
            may_be_module = interpreter.modules is not None and interpreter.modules.fullmatch(option)
            for name in dict.fromkeys(_files(interpreter, option, value)):
                if b"/" in name or (name and not may_be_module):
                    yield OptionFile(name, behind)


def plain_option(interpreter: Interpreter, argument: bytes, rest: collections.deque[bytes]) -> bytes:
    """Return an argument with two dashes where it is a long option in another form; what else it has is taken."""
    if interpreter is POWERSHELL:
        return _DASH.sub(b"-", argument)
    if (interpreter is AWK or interpreter is MAWK) and argument.startswith(b"-W") and (argument != b"-W" or rest):
        argument = b"--" + (argument[2:] or rest.popleft())
    if interpreter is MAWK and argument.startswith(b"--"):
        argument = _mawk_option(argument)
    if interpreter.shortens and argument.startswith(b"--"):
        name, equals, value = argument.partition(b"=")
        known = interpreter.long_takes | interpreter.long_file | interpreter.long_ends
        full = {name} & known or {each for each in known if each.startswith(name)}
        return (*full,)[0] + equals + value if len(full) == 1 else argument
    return b"-" + argument if b"-" + argument.partition(b"=")[0] in interpreter.one_dash else argument


def _mawk_option(argument: bytes) -> bytes:
    """Return the first of mawk's options, in any case and joined by commas, that names the program or ends; or all."""
    words = argument[2:].split(b",")
    for at, word in enumerate(words):
        name = word.partition(b"=")[0].lower()
        if name and any(each.startswith(b"--" + name) for each in MAWK.long_file | MAWK.long_ends):
            return b"--" + name + (b",".join(words[at:])[len(name) :] if b"=" in word else b"")
    return argument


def is_unknown(interpreter: Interpreter, argument: bytes) -> bool:
    """Return whether what follows may be an option's value, or no part of it: the table doesn't have the option."""
    if interpreter.long_flags is None or not argument.startswith(b"--") or b"=" in argument:
        return False
    option = b"--" + argument[2:].replace(b"_", b"-")
    known = interpreter.long_takes | interpreter.long_file | interpreter.long_ends
    is_flag = option.startswith(b"--no-") or interpreter.long_flags.fullmatch(option) is not None
    return option not in known and not is_flag


def options(
    interpreter: Interpreter, rest: collections.deque[bytes]
) -> Iterator[tuple[bytes, bytes, tuple[bytes, ...]]]:
    """Yield each option before the program with its value, b"" without one, and (b"", the first plain argument).

    The third are arguments before it of which each may be the program. What follows are the program's own arguments.
    An option that gives the program's text does not end the options.
    """
    read = _worded_option if interpreter.is_worded else _lettered_options
    behind: tuple[bytes, ...] = ()
    may_be_value = has_word = False
    while rest:
        argument = plain_option(interpreter, rest.popleft(), rest)
        is_possible, may_be_value = may_be_value, is_unknown(interpreter, argument)
        if is_possible and not argument.startswith(b"-"):
            behind = (*behind, argument)[:_MOST_BEHIND]
        elif not has_word and argument in interpreter.words | interpreter.commands:
            has_word = True
        elif argument.startswith(b"@") and interpreter is JAVA:
            yield b"@", argument[1:], behind
        elif argument in {b"-", b"--"}:
            return
        elif not argument.startswith(b"-"):
            yield b"", argument, behind
            return
        else:
            for option, value in read(interpreter, argument, rest):
                yield option, value, behind
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
    if interpreter is PHP and option in {b"-d", b"--define"}:
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
