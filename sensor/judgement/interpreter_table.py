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
    come the program's own arguments. `modules` matches the options whose value without `/` is a module.

    `long_flags`, where the table can't have every long option: those that have no value in the next argument, besides
    those named `no-…`. Behind one that is neither there nor among the others may be its value or the file. `one_dash`
    are long options that may have one dash too; where it `shortens` them, any start of one is it. `has_commands`: a
    file without one of the `endings` may be a command, or the name of a script.
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
    modules: re.Pattern[bytes] | None = None
    long_flags: re.Pattern[bytes] | None = None
    one_dash: frozenset[bytes] = frozenset()
    shortens: bool = False
    has_commands: bool = False
    plus: bool = False
    also: tuple[bytes, ...] = ()


SHELL: Final = Interpreter(
    reads_code=True,
    ends=b"c",
    input=b"s",
    next_only=b"oO",
    long_ends=frozenset({b"--version", b"--help"}),
    long_takes=frozenset({b"--rcfile", b"--init-file", b"--emulate", b"--profile"}),
    one_dash=frozenset(
        {b"--rcfile", b"--init-file", b"--norc", b"--noprofile", b"--noediting", b"--posix", b"--login", b"--verbose"}
        | {b"--restricted", b"--version", b"--help", b"--debugger", b"--debug", b"--protected", b"--pretty-print"}
        | {b"--dump-strings", b"--dump-po-strings"}
    ),
    plus=True,
)
_KSH: Final = dataclasses.replace(SHELL, next_only=b"", takes=b"o", one_dash=frozenset())
_CSH: Final = Interpreter(
    reads_code=True, ends=b"c", input=b"st", attached=b"D", long_ends=frozenset({b"--version", b"--help"})
)
_FISH: Final = Interpreter(
    endings=(b".fish",),
    ends=b"cvh",
    takes=b"CdDofp",
    long_ends=frozenset({b"--command", b"--version", b"--help", b"--print-debug-categories"}),
    long_takes=frozenset(
        {b"--init-command", b"--debug", b"--debug-output", b"--features", b"--profile", b"--profile-startup"}
        | {b"--debug-stack-frames"}
    ),
    shortens=True,
)
_PYTHON: Final = Interpreter(
    endings=(b".py", b".pyc", b".pyw", b".pth", b".zip", b".egg", b".whl", b".pyz"),
    ends=b"cmhV?",
    takes=b"WXQ",
    long_ends=frozenset({b"--version", b"--help", b"--help-all", b"--help-env", b"--help-xoptions"}),
    long_takes=frozenset({b"--check-hash-based-pycs", b"--jit"}),
    also=(b"/__main__.py",),
)
_PERL: Final = Interpreter(
    endings=(b".pl", b".pm", b".ph", b".al", b".t"), ends=b"eEvVh", takes=b"I", attached=b"CDdFiMmx"
)
_RUBY: Final = Interpreter(
    endings=(b".rb", b".ru", b".gem", b".gemspec"),
    ends=b"eh",
    takes=b"rICEX",
    attached=b"FKWTix",
    loads=re.compile(rb"-r"),
    modules=re.compile(rb"-r"),
    long_ends=frozenset({b"--version", b"--help", b"--copyright"}),
    long_takes=frozenset(
        {b"--encoding", b"--external-encoding", b"--internal-encoding", b"--backtrace-limit", b"--enable", b"--disable"}
        | {b"--dump", b"--parser", b"--crash-report"}
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
        | {b"--diagnostic-dir", b"--report-dir", b"--report-directory", b"--report-filename", b"--report-signal"}
        | {b"--experimental-default-type", b"--experimental-config-file", b"--experimental-sea-config", b"--build-sea"}
        | {b"--experimental-specifier-resolution", b"--es-module-specifier-resolution", b"--experimental-policy"}
        | {b"--policy-integrity", b"--build-snapshot-config", b"--snapshot-blob", b"--localstorage-file"}
        | {b"--cpu-prof-dir", b"--cpu-prof-name", b"--cpu-prof-interval", b"--debug-port", b"--disable-proto"}
        | {b"--heap-prof-dir", b"--heap-prof-name", b"--heap-prof-interval", b"--inspect-publish-uid"}
        | {b"--heapsnapshot-near-heap-limit", b"--heapsnapshot-signal", b"--max-http-header-size", b"--secure-heap"}
        | {b"--network-family-autoselection-attempt-timeout", b"--secure-heap-min", b"--security-revert"}
        | {b"--max-old-space-size-percentage", b"--tls-cipher-list", b"--tls-keylog", b"--use-largepages"}
        | {b"--trace-event-categories", b"--trace-event-file-pattern", b"--trace-require-module", b"--v8-pool-size"}
        | {b"--allow-fs-read", b"--allow-fs-write", b"--watch-kill-signal", b"--test-concurrency", b"--test-isolation"}
        | {b"--test-coverage-branches", b"--test-coverage-exclude", b"--test-coverage-functions", b"--test-shard"}
        | {b"--test-coverage-include", b"--test-coverage-lines", b"--test-global-setup", b"--test-name-pattern"}
        | {b"--test-reporter", b"--test-reporter-destination", b"--test-rerun-failures", b"--test-skip-pattern"}
        | {b"--test-timeout", b"--test-random-seed", b"--experimental-test-isolation"}
    ),
    # Of V8's none has its value in the next argument.
    long_flags=re.compile(
        rb"--(?:harmony|expose|trace|abort|enable|force|frozen|insecure|pending|preserve|print|throw|tls|track|use"
        rb"|verify|zero-fill|openssl|optimize|turbo|gc|perf|prof|jitless|check|interactive|permission|inspect|watch"
        rb"|cpu-prof|heap-prof|build-snapshot|entry-url|report-(?:compact|on|uncaught|exclude))(?:-.*)?"
        # By their whole names: others that begin so may have a value in a later version.
        rb"|--(?:addons|async-context-frame|completion-bash|debug-arraybuffer-allocations|deprecation|disable-sigusr1"
        rb"|disable-wasm-trap-handler|disallow-code-generation-from-strings|extra-info-on-fatal-exception|global-search"
        rb"-paths|huge-max-old-generation-size|interpreted-frames-native-stack|lite-mode|network-family-autoselection"
        rb"|node-memory-debug|node-snapshot|strip-types|warnings|webstorage|single-threaded|single-threaded-gc|maglev"
        rb"|sparkplug|allow-(?:addons|child-process|ffi|inspector|natives-syntax|net|wasi|worker)"
        rb"|test|test-(?:force-exit|only|update-snapshots)|experimental-(?:abortcontroller|addon-modules"
        rb"|async-context-frame|default-config-file|detect-module|eventsource|fetch|global-customevent|global-navigator"
        rb"|global-webcrypto|import-meta-resolve|inspector-network-resource|json-modules|modules|network-imports"
        rb"|network-inspection|permission|print-required-tla|quic|repl-await|report|require-module|shadow-realm|sqlite"
        rb"|storage-inspection|strip-types|test-coverage|test-module-mocks|test-snapshots|top-level-await"
        rb"|transform-types|vm-modules|wasi-unstable-preview1|wasm-modules|websocket|webstorage|worker"
        rb"|worker-inspection))"
    ),
    words=frozenset({b"inspect"}),
    loads=re.compile(
        rb"-r|--(?:require|import|loader|experimental-loader|test-reporter|test-global-setup|snapshot-blob)"
    ),
    modules=re.compile(rb"-r|--(?:require|import|loader|experimental-loader|test-reporter)"),
    also=(b".js", b".cjs", b".mjs", b"/index.js"),
)
_DENO: Final = Interpreter(
    endings=_JAVASCRIPT,
    ends=b"eh",
    takes=b"cL",
    attached=b"rRWNESIP",
    long_takes=frozenset(
        {b"--config", b"--import-map", b"--log-level", b"--cert", b"--seed", b"--preload", b"--import", b"--require"}
        | {b"--location", b"--ext", b"--conditions", b"--minimum-dependency-age", b"--port", b"--host", b"--filter"}
        | {b"--junit-path", b"--reporter", b"--cpu-prof-dir", b"--cpu-prof-name", b"--cpu-prof-interval", b"--eval"}
        | {b"--eval-file", b"--watch-exclude"}
    ),
    # Of these an equals sign is before a value.
    long_flags=re.compile(
        rb"--(?:allow|deny|unstable|inspect|watch|quiet|cached-only|check|node-modules-dir|reload|frozen|vendor|coverage"
        rb"|env-file|parallel|open|fail-fast|shuffle|doc|clean|json|v8-flags|strace-ops|permission-set|cpu-prof|ignore"
        rb"|unsafely-ignore-certificate-errors|trace-leaks|permit-no-files|hide-stacktraces|tunnel)(?:-.*)?"
    ),
    has_commands=True,
    long_ends=frozenset({b"--version", b"--help"}),
    words=frozenset({b"run", b"serve", b"test", b"bench"}),
    commands=frozenset(
        {b"eval", b"repl", b"task", b"upgrade", b"completions", b"lsp", b"install", b"add", b"cache", b"check", b"lint"}
        | {b"fmt", b"compile", b"bundle", b"doc", b"info", b"types", b"init", b"jupyter", b"publish", b"remove"}
        | {b"uninstall", b"outdated", b"update", b"audit", b"clean", b"deploy", b"x", b"create", b"approve-scripts"}
    ),
    loads=re.compile(rb"--(?:preload|import|require|eval-file)"),
)
_BUN: Final = Interpreter(
    endings=_JAVASCRIPT,
    ends=b"ephv",
    takes=b"rdcFlt",
    long_takes=frozenset(
        {b"--preload", b"--require", b"--import", b"--cwd", b"--env-file", b"--define", b"--loader", b"--install"}
        | {b"--port", b"--conditions", b"--fetch-preconnect", b"--sql-preconnect", b"--redis-preconnect", b"--title"}
        | {b"--max-http-header-size", b"--dns-result-order", b"--unhandled-rejections", b"--console-depth", b"--shell"}
        | {b"--user-agent", b"--elide-lines", b"--filter", b"--main-fields", b"--extension-order", b"--drop"}
        | {b"--tsconfig-override", b"--jsx-factory", b"--jsx-fragment", b"--jsx-import-source", b"--jsx-runtime"}
        | {b"--timeout", b"--rerun-each", b"--coverage-reporter", b"--coverage-dir", b"--test-name-pattern"}
        | {b"--reporter", b"--reporter-outfile", b"--seed", b"--max-concurrency", b"--cpu-prof-name", b"--cpu-prof-dir"}
        | {b"--heap-prof-name", b"--heap-prof-dir", b"--cpu-prof-interval", b"--retry"}
    ),
    long_flags=re.compile(
        rb"--(?:watch|hot|smol|bun|silent|if-present|inspect|prefer|expose-gc|throw-deprecation|zero-fill-buffers"
        rb"|coverage|bail|only|todo|randomize|concurrent|pass-with-no-tests|dots|update-snapshots|preserve-symlinks"
        rb"|use|workspaces|config|cpu-prof|heap-prof|ignore-dce-annotations|jsx-side-effects)(?:-.*)?"
    ),
    has_commands=True,
    long_ends=frozenset({b"--eval", b"--print", b"--version", b"--revision", b"--help"}),
    words=frozenset({b"run", b"test"}),
    commands=frozenset(
        {b"install", b"i", b"add", b"remove", b"update", b"x", b"create", b"init", b"upgrade", b"pm"}
        | {b"build", b"exec", b"repl", b"link", b"unlink", b"publish", b"outdated", b"patch", b"audit", b"why", b"info"}
        | {b"a", b"rm", b"c", b"ci", b"completions"}
    ),
    loads=re.compile(rb"-r|--(?:preload|import|require)"),
)
PHP: Final = Interpreter(
    endings=(b".php", b".phar", b".inc", b".phtml"),
    ends=b"rRBEihmvsw",
    takes=b"cdzStgp",
    # Behind the text of -B and its like may be a file as well.
    loads=re.compile(rb"-[dfF]|--(?:define|file|process-file)"),
    file=b"fF",
    long_file=frozenset({b"--file", b"--process-file"}),
    long_takes=frozenset({b"--define", b"--php-ini", b"--server", b"--docroot", b"--zend-extension"}),
    long_ends=frozenset(
        {b"--ini", b"--rf", b"--rc", b"--re", b"--rz", b"--ri", b"--run", b"--version", b"--help", b"--process-begin"}
        | {b"--process-code", b"--process-end", b"--rfunction", b"--rclass", b"--rextension", b"--rzendextension"}
        | {b"--rextinfo", b"--info", b"--modules", b"--strip", b"--syntax-highlight", b"--syntax-highlighting"}
    ),
)
_LUA: Final = Interpreter(endings=(b".lua", b".luac"), ends=b"b", takes=b"elj", attached=b"O")
AWK: Final = Interpreter(
    endings=(b".awk",),
    text=True,
    takes=b"Fvile",
    attached=b"LodDp",
    # Of several files the first is the script, and all are programs.
    loads=re.compile(rb"-[ilfE]|--(?:include|load|file|exec)"),
    program_words=re.compile(rb"-E|--exec"),
    file=b"fE",
    ends=b"Vh",
    long_file=frozenset({b"--file", b"--exec"}),
    long_takes=frozenset({b"--field-separator", b"--assign", b"--include", b"--load", b"--source"}),
    long_ends=frozenset({b"--version", b"--help", b"--copyright"}),
    also=(b".awk",),
    shortens=True,
)
# Its own words follow `-W`: the others that it has begin with none of these letters, and have no value behind them.
MAWK: Final = dataclasses.replace(
    AWK,
    takes=b"Fvf",
    attached=b"",
    ends=b"",
    file=b"f",
    loads=re.compile(rb"-f|--exec"),
    program_words=re.compile(rb"--exec"),
    long_file=frozenset({b"--exec"}),
    long_takes=frozenset(),
    long_ends=frozenset({b"--version", b"--help", b"--usage"}),
    also=(),
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
_DOTNET: Final = Interpreter(
    endings=(b".dll", b".exe", b".csx", b".fsx", b".cs"),
    long_takes=frozenset(
        {b"--additionalprobingpath", b"--additional-deps", b"--depsfile", b"--fx-version", b"--roll-forward"}
        | {b"--roll-forward-on-no-candidate-fx", b"--runtimeconfig"}
    ),
    long_ends=frozenset({b"--version", b"--help", b"--info", b"--list-sdks", b"--list-runtimes"}),
    long_flags=re.compile(rb"--diagnostics"),
    words=frozenset({b"exec", b"fsi", b"vstest"}),
    commands=frozenset(
        {b"run", b"build", b"test", b"publish", b"restore", b"new", b"add", b"tool", b"nuget", b"pack", b"clean"}
        | {b"sln", b"msbuild", b"watch", b"dev-certs", b"format", b"workload", b"sdk", b"store", b"remove", b"list"}
    ),
    has_commands=True,
)
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
_TCL: Final = Interpreter(
    endings=(b".tcl", b".tm"),
    long_takes=frozenset({b"--encoding"}),
    long_file=frozenset({b"--file"}),
    one_dash=frozenset({b"--encoding", b"--file"}),
)
_EXPECT: Final = Interpreter(endings=(b".exp", b".tcl", b".tm"), takes=b"cD", file=b"fb", ends=b"v")
INTERPRETERS: Final = (
    (re.compile(rb"(?:z|k|mk|rk|ya)sh[\d.]*(?:-static|-[\d.]+)?"), _KSH),
    (re.compile(rb"(?:ba|da|a|r|rba|hu)?sh[\d.]*(?:-static|-[\d.]+)?"), SHELL),
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
    (re.compile(rb"mawk"), MAWK),
    (re.compile(rb"[gn]?awk"), AWK),
    (re.compile(rb"java"), JAVA),
    (re.compile(rb"dotnet"), _DOTNET),
    (re.compile(rb"pwsh"), POWERSHELL),
    (re.compile(rb"(?:tclsh|wish)[\d.]*"), _TCL),
    (re.compile(rb"expect[\d.]*"), _EXPECT),
)
