"""The forms of what identifies a program: its path and its name; and command lines pasted for them.

A file's name may have any letters. So most of what is found here is suspicious, not impossible.
"""

from __future__ import annotations

import posixpath
import re
from typing import Final

from sensor.policy.lint import expressions, readings, wrappings
from sensor.policy.lint.command_lines import ARGUMENTS, program_of, program_of_title, strip_prompt, without_arguments
from sensor.policy.lint.contents import sha256_in
from sensor.policy.lint.file_lists import split_files
from sensor.policy.lint.findings import Flaw, Level, Suggestion, Value
from sensor.policy.lint.names import WILDCARDS
from sensor.policy.lint.patterns import pattern_flaw

# fmt: off
DIRECTORIES: Final = frozenset((
    "/", "/bin", "/boot", "/dev", "/dev/shm", "/etc", "/home", "/lib", "/lib64", "/media", "/mnt", "/opt",  # noqa: S108 - to compare with
    "/proc", "/root", "/run", "/sbin", "/srv", "/sys", "/tmp", "/usr", "/usr/bin", "/usr/lib", "/usr/lib64",  # noqa: S108 - to compare with
    "/usr/libexec", "/usr/local", "/usr/local/bin", "/usr/local/lib", "/usr/local/sbin", "/usr/sbin",
    "/usr/share", "/usr/src", "/var", "/var/cache", "/var/lib", "/var/log", "/var/run", "/var/spool",
    "/var/tmp", "/var/www", "/workspace", "/builds",  # noqa: S108 - to compare with
))
"""Directories of every system, and usual ones of build services: none of them is a program."""
# fmt: on
NO_FOLDER: Final = "This is a directory: it matches no file in it."
NORMAL: Final = "A path is compared in its normal form, without //, . and .. in it."
_REGEX: Final = re.compile(r"^\^|\.[*+]|\\(?:\.|[dwDWS](?![\w\\])|d[+*{])|(?<=[^$])\$$|\][*+]|\([^()|]+\|[^()]+\)")
_WINDOWS: Final = re.compile(
    r"[A-Za-z]:[\\/]|\\\\|%(?:systemroot|te?mp|(?:local)?appdata|program(?:files|data)|userprofile|windir|public)%",
    re.I,
)
_OF_REGEX: Final = re.compile(r"[\\^|?{]|\(.*\)|\[.+\]")
"""What is left of a regular expression that no pattern can say: an optional letter is not the ? of patterns."""
_DELETED: Final = "The kernel shows a deleted file so: its path is without it."
_UNNORMAL: Final = re.compile(r"//|/\.(?=/)|/\.\.(?=/)")
_UNNORMAL_END: Final = re.compile(r"/\.{0,2}$")
_MEMORY: Final = "/memfd:"
"""After it any name follows, which whoever runs the program chooses."""
FLOODED: Final = ("/*", "*")
"""Path and name of a file in events that a flood has summed up (docs/sensor.md#what-it-reports)."""

_FIELDS: Final = (
    r"proc\.\w+(?:\[\d+\])?|fd\.\w+|process\.(?:\w+\.)*\w+|process_?(?:name|path)|proc_\w+|parent_?process|"
    r"written_by(?:[._]\w+)?|writer|process[ -](?:name|path|ancestor)|binary|matchbinaries|executable|comm|exe|exepath|"
    r"image|parentimage|filename|filepath|initiatingprocess\w*|parent(?:[._]name)?|name|process|path"
)
"""What other tools, and rules, call a program's path or name."""
_KEYED: Final = re.compile(
    rf"[-\"'%\s]*(?:{_FIELDS})[\"']?\s*(?:[|\s]\s*(?:starts?_?with|ends?_?with|i?contains|i?glob|pmatch|like|in|is|eq)\b"
    r"\s*:?|===?|=~|[=:])\s*(?=\S)",
    re.IGNORECASE,
)
"""A field with a comparison: never only a blank, since a program may be called `path` or `setup.exe` too."""


_OF_NODE: Final = re.compile(
    r"(?:/(?:host|hostfs|host-root|rootfs|node))?(?:/proc/\d+/root|/var/lib/(?:docker/overlay2|containers/storage/overlay)/[^/]+/(?:merged|diff)|"
    r"/var/lib/containerd/io\.containerd\.snapshotter\.v1\.\w+/snapshots/\d+/fs|"
    r"/run/(?:k3s/)?containerd/io\.containerd\.runtime\.v2\.task/[^/]+/[^/]+/rootfs)(/.+)"
)
"""Where the node has the files of a container."""
_OF_KERNEL: Final = re.compile(r"/(?:proc|sys)/.+|/proc/?|/dev/(?:fd/.*|std(?:in|out|err))")
"""What leads to another file, or is none: no program's path is so."""
_BACKSLASH: Final = re.compile(r"(?<=\w)\\(?=[A-Za-z])(?!x[0-9A-Fa-f]{2})")
_CUT: Final = re.compile(r"(?<=\w)\.{3}$|\(\)$|\ufffd")
"""The end of what was shortened, a function, and what stands for bytes that could not be shown."""
_PLACEHOLDER: Final = re.compile(r"<[A-Za-z][\w .-]*>|(?<=.)`[^`]+`")
_MESSAGE: Final = re.compile(
    r"^(/[^:]+): (?:No such file|Permission denied|Is a directory|Text file busy|cannot |command not found|not found|"
    r"ELF |POSIX shell|ASCII text|Bourne|Python script|a /|symbolic link|data$).*",
    re.S,
)
"""What a shell or `file` prints behind a path."""
_IDS: Final = re.compile(r"(?:p?pid|[ug]id|user)\s*[:= ]\s*\w+")
_PREFIX: Final = re.compile(r"in\s*(?=[\[(])|(?:re|regexp?|glob|pattern)\s*:\s*(?=\S)|r/+(?=.*[*^$|])", re.IGNORECASE)


def _strip_condition(string: str) -> tuple[str, str] | None:
    if string.startswith("|"):
        return expressions.unfold_condition(string)
    if not _KEYED.match(string):
        return None
    text = re.sub(r"^[-\s]+", "", string)
    found = expressions.unfold_condition(text)
    if found and found[0] != text and not _KEYED.match(found[0]):
        return found
    return readings.strip_quotes(_KEYED.sub("", text, count=1)), "The name of the property is not part of the value."


def _strip_mark(string: str) -> tuple[str, str] | None:
    text = re.sub(r"""^(?:[-•+#]\s+(?=[\w/"'])|[-@:+]{1,3}(?=/))""", "", string)
    text = re.sub(r"^[-dlbcps](?:[r-][w-][xsStT-]){3}[.+@]?\s.*\s(?=/)", "", text)
    return text, "It begins with what is not part of a path: the mark of a list or comment, or columns of ls."


def _strip_comment(string: str) -> tuple[str, str] | None:
    return re.sub(r"(?<=\S)\s+#\s.*$", "", string), "A comment is part of the value here."


def _strip_message(string: str) -> tuple[str, str] | None:
    return _MESSAGE.sub(r"\1", string), "A message behind a path is not part of it."


def _unfold_like(string: str) -> tuple[str, str] | None:
    text = re.sub(r"^%([^%]+)%$", r"*\1*", string)
    return text, "The wildcard is *, with the operator Matches."


def _strip_deleted(string: str) -> tuple[str, str] | None:
    return re.sub(r"\s\(deleted\)$", "", string), _DELETED


def _strip_prefix(string: str) -> tuple[str, str] | None:
    text = re.sub(r"^/\^(.+)\$/$", r"^\1$", string)
    prefix = _PREFIX.match(text)
    if prefix is None:
        return text, "Such a prefix is not known here."
    rest = ("/" if text.startswith("r//") else "") + text[prefix.end() :]
    # An expression of StackRox is about the whole string; the marks make one of it for the steps behind.
    is_whole = re.match("re|r/", text, re.IGNORECASE) and not re.search(r"[|^$]", rest)
    return f"^{rest}$" if is_whole else rest, "Such a prefix is not known here."


def _strip_shell(string: str) -> tuple[str, str] | None:
    """The backslash of a continued line, and those before signs that a shell would take for its own."""
    text = re.sub(r"(?<=\w)(?:\\[nrt])+$", "", string).removesuffix("\\").rstrip()
    return re.sub(r"\\([ ()&;'\"$])", r"\1", text), "A backslash is compared as it is."


def _strip_mount(string: str) -> tuple[str, str] | None:
    text = re.sub(r"(?<=[^/:]):(?:ro|rw|[zZ]|r[ow],[zZ])$", "", string) if string.startswith("/") else string
    return text, "The option of a mount is not part of a path."


_WORD_STEPS: Final[tuple[readings.Step, ...]] = (
    readings.strip_blanks,
    readings.strip_end,
    wrappings.strip_marks,
    _strip_mark,
    strip_prompt,
    wrappings.strip_command,
    readings.unquote_string,
    _strip_prefix,
    _strip_condition,
    wrappings.strip_operators,
    readings.unquote_string,
    _strip_comment,
    _strip_message,
    program_of_title,
    _unfold_like,
    _strip_deleted,
    _strip_mount,
    _strip_shell,
    readings.unfold_alike_words,
    readings.decode_percent,
)


def _as_hash(operator: str, string: str) -> Flaw | None:
    """Return the finding of a SHA-256 in place of a file."""
    meant = sha256_in(string) if operator == "equals" else None
    if meant is None:
        return None
    return Flaw("warning", "This is a hash, not a file.", Suggestion((("equals", meant),), name="process_sha256"))


def _of_node(operator: str, string: str) -> Flaw | None:
    """Return the finding of a path on the node to a file in a container."""
    found = _OF_NODE.fullmatch(string) if operator in ("equals", "starts_with") else None
    if found is None:
        return None
    words = "This is a path of the node: a path is compared as the container has it."
    return Flaw("warning", words, Suggestion(((operator, found[1]),)))


def _of_kernel(operator: str, string: str) -> Flaw | None:
    """Return the finding of a path that only leads to a program's file, such as `/proc/self/exe`."""
    if operator not in ("equals", "starts_with", "matches") or not _OF_KERNEL.fullmatch(string):
        return None
    return Flaw("warning", "No program has this path: it leads to a file, which has a path of its own.")


def path_flaw(operator: str, string: str) -> Flaw | None:
    """Return what is wrong with a value of a process's path."""
    if string == FLOODED[0]:
        return None
    if string.startswith(_MEMORY):
        is_whole = operator in ("equals", "matches") and string.endswith(" (deleted)")
        alive = Suggestion(((operator, string.removesuffix(" (deleted)")),))
        return Flaw("warning", _DELETED, alive) if is_whole else None
    if flaw := _as_hash(operator, string) or _of_node(operator, string) or _of_kernel(operator, string):
        return flaw
    problem = None if len(_split_whole(string)) > 1 else _path_problem(operator, string)
    if problem is None:
        flaw = suspicious(operator, string) or (pattern_flaw(string) if operator == "matches" else None)
        if flaw or operator != "equals" or string not in DIRECTORIES:
            return flaw
        return Flaw("warning", NO_FOLDER, Suggestion((("starts_with", f"{string.rstrip('/')}/"),)))
    level, words = problem
    reading = read_file(operator, string)
    meant = None if _WINDOWS.match(string) else _path_meant(operator, reading)
    usable = meant is not None and meant != (operator, string) and _path_problem(*meant) is None
    return Flaw(level, reading.reason or words, Suggestion((meant,)) if usable and meant else None)


def _path_problem(operator: str, string: str) -> tuple[Level, str] | None:
    # The name of a program in memory, which is no path, may have anything after "/memfd:".
    is_from_start = operator in ("equals", "starts_with") or (operator == "matches" and string.startswith("/"))
    level: Level = "error" if is_from_start else "warning"
    if operator in ("equals", "starts_with") and not string.startswith("/"):
        return "error", "A path begins with /."
    if operator == "matches" and not string.startswith(("/", "*", "?")):
        return "error", "A path begins with /."
    if _UNNORMAL.search(string):
        return level, NORMAL
    if operator in ("equals", "ends_with", "matches") and _UNNORMAL_END.search(string):
        return level, NO_FOLDER if string.endswith("/") else NORMAL
    return None


def _path_meant(operator: str, reading: readings.Reading) -> Value | None:
    string = reading.strings[0]
    if (
        reading.is_open
        or _WINDOWS.match(string.strip("*%"))
        or _WINDOWS.match(string)
        or re.match(r"~|\$|\.\./", string)
    ):
        return None
    is_regex = string.startswith("^") or string.endswith("$") or (operator == "matches" and string.startswith(".*"))
    if is_regex:
        string = (readings.unfold_regex(string) or (string, ""))[0]
    if string.endswith("/") and operator == "ends_with":
        return "contains", string
    if re.search(_OF_REGEX if is_regex else r"[\^|\\]", string):
        return None
    if not string.startswith("/"):
        return _relative_meant(operator, string.removeprefix("./"))
    if string.endswith("/") and operator in ("equals", "matches"):
        normal = f"{posixpath.normpath(string).rstrip('/')}/"
        return ("matches", f"{normal}*") if readings.WILDCARD.search(normal) else ("starts_with", normal)
    end = "/" if string.endswith("/") else ""
    string = posixpath.normpath(re.sub(r"^/{2,}", "/", string)) + end
    string = program_of(string)
    meant = readings.split_pattern(operator, string) if readings.WILDCARD.search(string) else (operator, string)
    return meant if string else None


def _relative_meant(operator: str, string: str) -> Value | None:
    """Return what was meant by a path that does not begin with a slash."""
    if string.startswith("*/") and not readings.WILDCARD.search(string[1:]) and operator == "equals":
        return "ends_with", string[1:]
    if string.startswith("memfd:"):
        return operator, f"/{string}"
    if operator == "matches" or readings.WILDCARD.search(string):
        return "matches", string if string.startswith("*") else f"*/{string}"
    if operator == "equals":
        program = program_of(string)
        if not program:
            return None
        return ("equals", program) if program.startswith("/") else ("ends_with", f"/{program}")
    return operator, f"/{string}" if operator == "starts_with" else string


def name_flaw(operator: str, string: str) -> Flaw | None:
    """Return what is wrong with a value of a process's name, which is the last part of its path."""
    if string == FLOODED[1]:
        return None
    if operator in ("equals", "matches") and string in (".", ".."):
        return Flaw("error", "This is a directory, not a program.")
    if flaw := _as_hash(operator, string):
        return flaw
    if "/" not in string or len(_split_whole(string)) > 1:
        return suspicious(operator, string)
    reading = read_file(operator, string)
    meant = "" if reading.is_open else reading.strings[0].removeprefix("./")
    words = "A process's name has no /: it is the last part of its path."
    program = without_arguments(meant)
    if program is not None and "/" not in program:
        return Flaw("error", reading.reason or ARGUMENTS, Suggestion(((operator, program),)) if program else None)
    if meant and "/" not in meant:
        words = reading.reason or words
    return Flaw("error", words, _name_meant(operator, meant) if meant else None)


def _name_meant(operator: str, meant: str) -> Suggestion | None:
    """Return the condition on a name, or on the whole path where it has a directory."""
    if "/" not in meant:
        flaw = suspicious(operator, meant)
        return Suggestion(flaw.suggestion.values if flaw and flaw.suggestion else ((operator, meant),))
    if operator == "ends_with" and not meant.endswith("/"):
        return Suggestion((("ends_with", meant),), name="process_path")
    flaw = path_flaw(operator, meant)
    if flaw is None:
        return Suggestion(((operator, meant),), name="process_path")
    of_path = flaw.suggestion
    return Suggestion(of_path.values, name="process_path") if of_path and not of_path.name else None


def _split_whole(string: str) -> list[str]:
    """Return the parts of a list whose parts may be conditions themselves; the string alone where it is none."""
    parts = split_files(string)
    return (
        parts if "\n" in string.strip() or re.search(r"\s(?:or|OR|\|\|)\s", string) or string[:1] in "[(" else [string]
    )


def suspicious(operator: str, string: str) -> Flaw | None:
    """Return what is suspicious about a path or name whose form is possible."""
    several = _split_whole(string)
    if len(several) > readings.MOST:
        return Flaw("warning", "Each value needs a row of its own.")
    if len(several) > 1:
        read = [read_file(operator, each).strings[0] for each in several]
        return Flaw(
            "warning", "Each value needs a row of its own.", Suggestion(tuple(_as_pattern(operator, e) for e in read))
        )
    reading = read_file(operator, string)
    first = reading.strings[0]
    if reading.is_open:
        return Flaw("warning", reading.reason)
    foreign = {
        "This is a path of Windows.": _WINDOWS.match(first) or _WINDOWS.match(string),
        "Files are compared, not the processes or users that run them.": _IDS.fullmatch(first),
        "This is cut, or not as the file is called.": _CUT.search(first),
        "A variable or placeholder is not filled in here.": _PLACEHOLDER.search(first),
    }
    if words := next((words for words, is_found in foreign.items() if is_found), ""):
        return Flaw("warning", words)
    reason, strings = _meant(operator, first)
    if not reason and not reading.reason:
        return None
    values = tuple(_as_pattern(operator, each) for each in strings)
    return Flaw("warning", reading.reason or reason, Suggestion(values) if values else None)


def _meant(operator: str, string: str) -> tuple[str, list[str]]:
    """Return why a string is suspicious, "" if it is not, and what was meant; an empty list where that is unknown."""
    regex = readings.REGEX_OF_PATTERN if operator == "matches" else _REGEX
    parts = split_files(string)
    program = without_arguments(string) if operator in ("equals", "ends_with") else None
    if len(parts) > 1:
        plain = [(readings.unfold_regex(each) or (each, ""))[0] if regex.search(each) else each for each in parts]
        return "Each value needs a row of its own.", [] if any(
            map(_OF_REGEX.search, plain)
        ) and plain != parts else plain
    if program is not None:
        return ARGUMENTS, [program] if program else []
    if string.startswith("/") and _BACKSLASH.search(string) and not _REGEX.search(string):
        return "A backslash is compared as it is.", [_BACKSLASH.sub("/", string)]
    if regex.search(string) and (unfolded := readings.unfold_regex(string)):
        return unfolded[1], [] if _OF_REGEX.search(unfolded[0]) else [unfolded[0]]
    if operator != "matches" and readings.WILDCARD.search(string):
        return WILDCARDS, [string]
    return "", [string]


def _as_pattern(operator: str, string: str) -> Value:
    if operator != "matches" and readings.WILDCARD.search(string):
        return readings.split_pattern(operator, string)
    return operator, string


def read_file(operator: str, string: str) -> readings.Reading:
    """Return what was meant by a path or name as typed."""
    # A blank where the rest of the name begins or ends is part of it.
    inner = string
    if operator in ("ends_with", "contains"):
        inner = inner.lstrip(" ")
    if operator in ("starts_with", "contains"):
        inner = inner.rstrip(" ")
    reading = readings.read(inner, _WORD_STEPS)
    text = reading.strings[0]
    # file:/usr/bin/x has one slash, so that no other path with a colon is taken for one.
    plain = re.sub(r"^file:(?://localhost)?/*(?=/)", "", text)
    if plain == text and not re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", text):
        return reading if reading.reason or reading.is_open else readings.Reading("", (string,))
    return readings.Reading("A scheme is not part of a path.", (plain,), is_open=plain == text)
