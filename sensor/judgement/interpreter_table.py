"""How each interpreter's options are read, as the manuals give them."""

from __future__ import annotations

import dataclasses
import re
from typing import Final


@dataclasses.dataclass(frozen=True, slots=True)
class Interpreter:
    """How one interpreter's options are read, and the `endings` of its code. Letters are of short options.

    These may stand together. After one of `ends` no file is run, after one of `input` standard input. One of `takes`
    has its value in the same argument or, where there is nothing left of that, in the next; one of `next_only` always
    in the next; one of `attached` never. The value of one of `file` is the file. `words` may stand before the file
    (`deno run`); one of `commands` runs no file that is named there. `also` is what may follow the file's name: a
    directory's main program, an extension that was left out. `reads_code` where all that it opens itself is code, but
    for DATA. `text` where the first plain argument is a program's text, and no file.

    `loads` matches an option whose value names code that is loaded besides the file, `-` and its letter where it is
    short, b"" for the first plain argument itself. `is_worded`: its options are words, also behind one `-`, and
    `value_words` matches those that have a value in the next argument; `program_words` those of them after whose value
    come the program's own arguments. `has_modules`: what `loads` names without `/` is a module.
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
    is_worded: bool = False
    value_words: re.Pattern[bytes] | None = None
    program_words: re.Pattern[bytes] | None = None
    has_modules: bool = False
    plus: bool = False
    also: tuple[bytes, ...] = ()


SHELL: Final = Interpreter(
    reads_code=True,
    ends=b"c",
    input=b"s",
    next_only=b"oO",
    long_ends=frozenset({b"--version", b"--help"}),
    long_takes=frozenset({b"--rcfile", b"--init-file", b"--emulate"}),
    plus=True,
)
_CSH: Final = Interpreter(reads_code=True, ends=b"c", input=b"st", long_ends=frozenset({b"--version", b"--help"}))
_FISH: Final = Interpreter(
    endings=(b".fish",),
    ends=b"cvh",
    takes=b"CdDofp",
    long_ends=frozenset({b"--command", b"--version", b"--help", b"--print-rusage-self"}),
    long_takes=frozenset({b"--init-command", b"--debug", b"--debug-output", b"--features", b"--profile"}),
)
_PYTHON: Final = Interpreter(
    endings=(b".py", b".pyc", b".pyw", b".pth", b".zip", b".egg", b".whl", b".pyz"),
    ends=b"cmhV?",
    takes=b"WX",
    long_ends=frozenset({b"--version", b"--help", b"--help-all", b"--help-env", b"--help-xoptions"}),
    long_takes=frozenset({b"--check-hash-based-pycs"}),
    also=(b"/__main__.py",),
)
_PERL: Final = Interpreter(
    endings=(b".pl", b".pm", b".ph", b".al", b".t"), ends=b"eEvVh", takes=b"I", attached=b"CDdFiMmx"
)
_RUBY: Final = Interpreter(
    endings=(b".rb", b".ru", b".gem", b".gemspec"),
    ends=b"eh",
    takes=b"rICE",
    attached=b"FKWTix",
    loads=re.compile(rb"-r"),
    has_modules=True,
    long_ends=frozenset({b"--version", b"--help", b"--copyright"}),
    long_takes=frozenset(
        {b"--encoding", b"--external-encoding", b"--internal-encoding", b"--backtrace-limit", b"--enable", b"--disable"}
    ),
)
_JAVASCRIPT: Final = (b".js", b".cjs", b".mjs", b".ts", b".mts", b".cts", b".jsx", b".tsx", b".wasm")
_NODE: Final = Interpreter(
    endings=_JAVASCRIPT,
    ends=b"epvh",
    takes=b"rC",
    long_ends=frozenset({b"--eval", b"--print", b"--version", b"--help", b"--v8-options", b"--run"}),
    long_takes=frozenset(
        {b"--require", b"--import", b"--loader", b"--experimental-loader", b"--conditions", b"--env-file", b"--title"}
        | {b"--env-file-if-exists", b"--input-type", b"--unhandled-rejections", b"--disable-warning", b"--watch-path"}
        | {b"--openssl-config", b"--icu-data-dir", b"--dns-result-order", b"--redirect-warnings", b"--inspect-port"}
        | {b"--diagnostic-dir", b"--report-dir", b"--experimental-default-type", b"--stack-trace-limit"}
    ),
    words=frozenset({b"inspect"}),
    loads=re.compile(rb"-r|--(?:require|import|loader|experimental-loader)"),
    has_modules=True,
    also=(b".js", b".cjs", b".mjs", b"/index.js"),
)
_DENO: Final = Interpreter(
    endings=_JAVASCRIPT,
    ends=b"eh",
    takes=b"cL",
    attached=b"r",
    long_takes=frozenset(
        {b"--config", b"--import-map", b"--log-level", b"--cert", b"--seed", b"--preload", b"--import", b"--require"}
    ),
    long_ends=frozenset({b"--version", b"--help"}),
    words=frozenset({b"run", b"serve", b"test", b"bench"}),
    commands=frozenset({b"eval", b"repl", b"task", b"upgrade", b"completions", b"lsp", b"install", b"add", b"cache"}),
    loads=re.compile(rb"--(?:preload|import|require)"),
)
_BUN: Final = Interpreter(
    endings=_JAVASCRIPT,
    ends=b"ephv",
    takes=b"rdc",
    long_takes=frozenset({b"--preload", b"--require", b"--import", b"--cwd", b"--env-file", b"--define", b"--loader"}),
    long_ends=frozenset({b"--eval", b"--print", b"--version", b"--revision", b"--help"}),
    words=frozenset({b"run", b"test"}),
    commands=frozenset({b"install", b"i", b"add", b"remove", b"update", b"x", b"create", b"init", b"upgrade", b"pm"}),
    loads=re.compile(rb"-r|--(?:preload|import|require)"),
)
PHP: Final = Interpreter(
    endings=(b".php", b".phar", b".inc", b".phtml"),
    ends=b"rRBEihmvsw",
    takes=b"cdzStgp",
    loads=re.compile(rb"-d|--define"),
    file=b"fF",
    long_file=frozenset({b"--file", b"--process-file"}),
    long_takes=frozenset({b"--define", b"--php-ini", b"--server", b"--docroot", b"--zend-extension"}),
    long_ends=frozenset({b"--ini", b"--rf", b"--rc", b"--re", b"--rz", b"--ri", b"--run", b"--version", b"--help"}),
)
_LUA: Final = Interpreter(endings=(b".lua", b".luac"), ends=b"b", takes=b"elj", attached=b"O")
_AWK: Final = Interpreter(
    endings=(b".awk",),
    text=True,
    takes=b"FvilLbo",
    loads=re.compile(rb"-[il]|--(?:include|load)"),
    file=b"fE",
    ends=b"Ve",
    long_file=frozenset({b"--file", b"--exec"}),
    long_takes=frozenset({b"--field-separator", b"--assign", b"--include", b"--load"}),
)
JAVA: Final = Interpreter(
    endings=(b".jar", b".class", b".java", b".jmod", b".war", b".ear"),
    text=True,
    is_worded=True,
    # As the launcher has them (java.c, IsWhiteSpaceOption).
    value_words=re.compile(
        rb"-jar|-cp|-classpath|-p|-d|-m|--(?:class|module|upgrade-module)-path|--(?:patch|describe)-module|--module"
        rb"|--(?:add|limit)-modules|--add-(?:exports|opens|reads)|--enable-native-access|--source"
    ),
    program_words=re.compile(rb"-jar|-m|--module"),
    loads=re.compile(
        rb"-jar|-cp|-classpath|-p|--(?:class|module|upgrade-module)-path|--patch-module"
        rb"|-(?:javaagent|agentpath|Xbootclasspath(?:/[ap])?|Djava\.class\.path)|@|"
    ),
)
_DOTNET: Final = Interpreter(endings=(b".dll", b".exe", b".csx", b".fsx", b".cs"), words=frozenset({b"exec"}))
POWERSHELL: Final = Interpreter(
    endings=(b".ps1", b".psm1", b".psd1", b".dll"),
    text=True,
    is_worded=True,
    value_words=re.compile(
        rb"--?(?:f(?:i|il|ile)?|c|com.*|cwa|e|ea|ec|en.*|ep|ex.*|if|inp.*|o|ou.*|of|w|wi.*|wo.*|wd|se.*|con.*|cu.*)",
        re.IGNORECASE,
    ),
    program_words=re.compile(rb"--?(?:f(?:i|il|ile)?|c|com.*|cwa)", re.IGNORECASE),
    loads=re.compile(rb"(?:--?f(?:i|il|ile)?)?", re.IGNORECASE),
)
_TCL: Final = Interpreter(endings=(b".tcl", b".tm"))
_EXPECT: Final = Interpreter(endings=(b".exp", b".tcl", b".tm"), takes=b"c", attached=b"D", file=b"fb", ends=b"v")
INTERPRETERS: Final = (
    (re.compile(rb"(?:ba|da|a|z|k|mk|r|rba|rk|hu|ya)?sh[\d.]*(?:-static|-[\d.]+)?"), SHELL),
    (re.compile(rb"t?csh|bsd-csh"), _CSH),
    (re.compile(rb"fish"), _FISH),
    (re.compile(rb"(?:python|pypy)[\d.]*[a-z]?(?:-dbg)?"), _PYTHON),
    (re.compile(rb"perl[\d.]*(?:-[\w-]+-linux-gnu\w*)?"), _PERL),
    (re.compile(rb"ruby[\d.]*"), _RUBY),
    (re.compile(rb"(?:node|nodejs)[\d.]*"), _NODE),
    (re.compile(rb"deno"), _DENO),
    (re.compile(rb"bun"), _BUN),
    (re.compile(rb"php[\d.]*"), PHP),
    (re.compile(rb"lua(?:jit)?[\d.-]*(?:beta\d)?"), _LUA),
    (re.compile(rb"[gmn]?awk"), _AWK),
    (re.compile(rb"java"), JAVA),
    (re.compile(rb"dotnet"), _DOTNET),
    (re.compile(rb"pwsh"), POWERSHELL),
    (re.compile(rb"(?:tclsh|wish)[\d.]*"), _TCL),
    (re.compile(rb"expect[\d.]*"), _EXPECT),
)
