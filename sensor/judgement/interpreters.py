"""Interpreters: the file that `perl …`, `sh …` or `python …` is given to run, and which files that they read are code.

One table. Options are read as the manuals give them, for what argv names. What argv does not show (modules, start-up
files, what an environment variable names, standard input) is among the files that the interpreter opens in its first
moments, of which many are data: the name's ending tells code, and a shell reads hardly anything else itself.
"""

from __future__ import annotations

import dataclasses
import itertools
import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


@dataclasses.dataclass(frozen=True, slots=True)
class _Interpreter:
    """How one interpreter's options are read, and the `endings` of its code. Letters are of short options.

    These may stand together. After one of `ends` no file is run, after one of `input` standard input. One of `takes`
    has its value in the same argument or, where there is nothing left of that, in the next; one of `next_only` always
    in the next; one of `attached` never. The value of one of `file` is the file. `words` may stand before the file
    (`deno run`); one of `commands` runs no file that is named there. `also` is what may follow the file's name: a
    directory's main program, an extension that was left out. `reads_code` where all that it opens itself is code, but
    for DATA. `text` where the first plain argument is a program's text, and no file. `loads` matches an option that has
    code loaded besides the file: in its group, or in the next argument where that is empty.
    """

    endings: tuple[bytes, ...] = ()
    reads_code: bool = False
    text: bool = False
    long_file: frozenset[bytes] = frozenset()
    ends: bytes = b""
    input: bytes = b""
    takes: bytes = b""
    next_only: bytes = b""
    attached: bytes = b""
    file: bytes = b""
    long_ends: frozenset[bytes] = frozenset()
    long_takes: frozenset[bytes] = frozenset()
    words: frozenset[bytes] = frozenset()
    commands: frozenset[bytes] = frozenset()
    loads: re.Pattern[bytes] | None = None
    plus: bool = False
    also: tuple[bytes, ...] = ()


_SHELL: Final = _Interpreter(
    reads_code=True,
    ends=b"c",
    input=b"s",
    next_only=b"oO",
    long_ends=frozenset({b"--version", b"--help"}),
    long_takes=frozenset({b"--rcfile", b"--init-file", b"--emulate"}),
    plus=True,
)
_CSH: Final = _Interpreter(reads_code=True, ends=b"c", input=b"st", long_ends=frozenset({b"--version", b"--help"}))
_FISH: Final = _Interpreter(
    endings=(b".fish",),
    ends=b"cvh",
    takes=b"CdDofp",
    long_ends=frozenset({b"--command", b"--version", b"--help", b"--print-rusage-self"}),
    long_takes=frozenset({b"--init-command", b"--debug", b"--debug-output", b"--features", b"--profile"}),
)
_PYTHON: Final = _Interpreter(
    endings=(b".py", b".pyc", b".pyw", b".pth", b".zip", b".egg", b".whl", b".pyz"),
    ends=b"cmhV?",
    takes=b"WX",
    long_ends=frozenset({b"--version", b"--help", b"--help-all", b"--help-env", b"--help-xoptions"}),
    long_takes=frozenset({b"--check-hash-based-pycs"}),
    also=(b"/__main__.py",),
)
_PERL: Final = _Interpreter(
    endings=(b".pl", b".pm", b".ph", b".al", b".t"), ends=b"eEvVh", takes=b"I", attached=b"CDdFiMmx"
)
_RUBY: Final = _Interpreter(
    endings=(b".rb", b".ru", b".gem", b".gemspec"),
    ends=b"evh",
    takes=b"rICE",
    attached=b"FKWTix",
    loads=re.compile(rb"-r(.*)", re.DOTALL),
    long_ends=frozenset({b"--version", b"--help", b"--copyright"}),
    long_takes=frozenset({b"--encoding", b"--external-encoding", b"--internal-encoding", b"--backtrace-limit"}),
)
_MODULES: Final = re.compile(rb"(?:-r|--(?:require|import|preload|loader|experimental-loader))(?:=(.*))?", re.DOTALL)
"""Options of JavaScript's interpreters."""
_JAVASCRIPT: Final = (b".js", b".cjs", b".mjs", b".ts", b".mts", b".cts", b".jsx", b".tsx", b".wasm")
_NODE: Final = _Interpreter(
    endings=_JAVASCRIPT,
    ends=b"epvh",
    takes=b"rC",
    long_ends=frozenset({b"--eval", b"--print", b"--version", b"--help", b"--v8-options", b"--run"}),
    long_takes=frozenset(
        {b"--require", b"--import", b"--loader", b"--experimental-loader", b"--conditions", b"--env-file", b"--title"}
    ),
    words=frozenset({b"inspect"}),
    loads=_MODULES,
    also=(b".js", b".cjs", b".mjs", b"/index.js"),
)
_DENO: Final = _Interpreter(
    endings=_JAVASCRIPT,
    ends=b"eh",
    takes=b"cL",
    attached=b"r",
    long_takes=frozenset({b"--config", b"--import-map", b"--log-level", b"--cert", b"--seed"}),
    long_ends=frozenset({b"--version", b"--help"}),
    words=frozenset({b"run", b"serve", b"test", b"bench"}),
    commands=frozenset({b"eval", b"repl", b"task", b"upgrade", b"completions", b"lsp", b"install", b"add", b"cache"}),
    loads=_MODULES,
)
_BUN: Final = _Interpreter(
    endings=_JAVASCRIPT,
    ends=b"ephv",
    takes=b"rdc",
    long_takes=frozenset({b"--preload", b"--require", b"--import", b"--cwd", b"--env-file", b"--define", b"--loader"}),
    long_ends=frozenset({b"--eval", b"--print", b"--version", b"--revision", b"--help"}),
    words=frozenset({b"run", b"test"}),
    commands=frozenset({b"install", b"i", b"add", b"remove", b"update", b"x", b"create", b"init", b"upgrade", b"pm"}),
    loads=_MODULES,
)
_PHP: Final = _Interpreter(
    endings=(b".php", b".phar", b".inc", b".phtml"),
    ends=b"rRBEihmvsw",
    takes=b"cdzStgp",
    loads=re.compile(rb"(?:-d)?auto_(?:ap|pre)pend_file=(.+)", re.DOTALL),
    file=b"fF",
    long_ends=frozenset({b"--ini", b"--rf", b"--rc", b"--re", b"--rz", b"--ri", b"--run", b"--version", b"--help"}),
)
_LUA: Final = _Interpreter(endings=(b".lua", b".luac"), ends=b"b", takes=b"elj", attached=b"O")
_AWK: Final = _Interpreter(
    endings=(b".awk",),
    text=True,
    takes=b"FvilLbo",
    loads=re.compile(rb"(?:-[il]|--(?:include|load)=?)(.*)", re.DOTALL),
    file=b"fE",
    ends=b"Ve",
    long_file=frozenset({b"--file", b"--exec"}),
    long_takes=frozenset({b"--field-separator", b"--assign", b"--include", b"--load"}),
)
_JAVA: Final = _Interpreter(
    endings=(b".jar", b".class", b".java", b".jmod", b".war", b".ear"),
    text=True,
    loads=re.compile(
        rb"(?:-jar|-cp|-classpath|-p|--(?:class|module|upgrade-module)-path=?|--patch-module=?"
        rb"|-(?:javaagent|agentpath|Xbootclasspath(?:/[ap])?):|@)(.*)",
        re.DOTALL,
    ),
)
_DOTNET: Final = _Interpreter(endings=(b".dll", b".exe", b".csx", b".fsx", b".cs"), words=frozenset({b"exec"}))
_POWERSHELL: Final = _Interpreter(
    endings=(b".ps1", b".psm1", b".psd1", b".dll"),
    text=True,
    loads=re.compile(rb"--?f(?:i|il|ile)?()", re.IGNORECASE),
)
_TCL: Final = _Interpreter(endings=(b".tcl", b".tm"))
_EXPECT: Final = _Interpreter(endings=(b".exp", b".tcl", b".tm"), takes=b"c", attached=b"D", file=b"fb", ends=b"v")
_INTERPRETERS: Final = (
    (re.compile(rb"(?:ba|da|a|z|k|mk|r|rba|rk|hu|ya)?sh[\d.]*(?:-static|-[\d.]+)?"), _SHELL),
    (re.compile(rb"t?csh|bsd-csh"), _CSH),
    (re.compile(rb"fish"), _FISH),
    (re.compile(rb"(?:python|pypy)[\d.]*[a-z]?(?:-dbg)?"), _PYTHON),
    (re.compile(rb"perl[\d.]*(?:-[\w-]+-linux-gnu\w*)?"), _PERL),
    (re.compile(rb"ruby[\d.]*"), _RUBY),
    (re.compile(rb"(?:node|nodejs)[\d.]*"), _NODE),
    (re.compile(rb"deno"), _DENO),
    (re.compile(rb"bun"), _BUN),
    (re.compile(rb"php[\d.]*"), _PHP),
    (re.compile(rb"lua(?:jit)?[\d.-]*(?:beta\d)?"), _LUA),
    (re.compile(rb"[gmn]?awk"), _AWK),
    (re.compile(rb"java"), _JAVA),
    (re.compile(rb"dotnet"), _DOTNET),
    (re.compile(rb"pwsh"), _POWERSHELL),
    (re.compile(rb"(?:tclsh|wish)[\d.]*"), _TCL),
    (re.compile(rb"expect[\d.]*"), _EXPECT),
)


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
    """Yield the names of each file that options have an interpreter load besides its program, the likeliest first.

    What has no `/` is the name of a module.
    """
    interpreter, argv = _interpreter(program, argv)
    if interpreter is None or interpreter.loads is None:
        return
    rest = iter(argv[1:])
    for argument in rest:
        found = interpreter.loads.fullmatch(argument)
        if found is None:
            continue
        # A class path has several; an agent has its options behind `=`.
        for name in re.split(rb"[:;=,]", (found[1] or next(rest, b"")).removeprefix(b"file://")):
            if b"/" in name:
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


def knows(name: bytes) -> bool:
    """Return whether a program with this name is an interpreter whose arguments are read."""
    return any(pattern.fullmatch(name) for pattern, _ in _INTERPRETERS)


def _interpreter(program: bytes, argv: Sequence[bytes]) -> tuple[_Interpreter | None, Sequence[bytes]]:
    name, argv = _applet(program.rsplit(b"/", 1)[-1], argv)
    return next((each for pattern, each in _INTERPRETERS if pattern.fullmatch(name)), None), argv


def _applet(name: bytes, argv: Sequence[bytes]) -> tuple[bytes, Sequence[bytes]]:
    """Return the program that Busybox is, as argv says: `sh`, `busybox sh`, `busybox busybox /bin/sh`."""
    while name.startswith(b"busybox") and argv:
        called = argv[0].rsplit(b"/", 1)[-1].removeprefix(b"-")
        if not called.startswith(b"busybox"):
            return called, argv
        argv = argv[1:]
    return name, argv


def _file(interpreter: _Interpreter, rest: Iterator[bytes]) -> bytes | None:
    """Return the file that the arguments name, INPUT where standard input is the program; None where it is neither."""
    missing = None if interpreter.text else INPUT
    for argument in rest:
        if argument == b"--":
            return None if interpreter.text else next(rest, INPUT)
        if argument == INPUT:
            return next(rest, INPUT) if interpreter is _SHELL else INPUT
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


def _long(interpreter: _Interpreter, option: bytes, rest: Iterator[bytes]) -> tuple[bool, bytes | None]:
    """Read a long option: whether it ends the search for the file, and the file it names."""
    name, equals, value = option.partition(b"=")
    if b"--" + name in interpreter.long_ends:
        return True, None
    if b"--" + name in interpreter.long_file:
        return True, value or next(rest, None)
    if b"--" + name in interpreter.long_takes and not equals:
        next(rest, None)
    return False, None


def _cluster(interpreter: _Interpreter, letters: bytes, rest: Iterator[bytes]) -> tuple[bool, bytes | None]:
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
