"""Whether a command line executes what it downloads, as in `sh -c "$(curl …)"` and `X=$(curl …); $X`. Pure.

Read as a shell reads it, in one pass, so that the time grows with the length. It errs towards yes: no is only what is
an argument of HARMLESS, or in a variable that nothing executes. Quotes are followed where they matter and trusted
nowhere, since the arguments of a command line are joined without their own. What is downloaded into a file is not
followed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from drift.alerts.domain.program_names import name_set

HARMLESS: Final = name_set(
    """
    [ [[ test echo printf export local declare typeset readonly for select case exit return sleep date true false cd
    find cp mv rm ls ln mkdir touch chmod chown cat jq grep head tail cut tr wc basename dirname kubectl curl wget which
    """
)
"""Commands that execute none of their arguments, but behind the options of `_is_before_command`."""
_DOWNLOADERS: Final = frozenset({"curl", "wget"})
_LISTS: Final = frozenset({"for", "select", "=("})
"""What assigns more than one word to a variable."""
_DECLARES: Final = frozenset({"export", "local", "declare", "typeset", "readonly"})
_REFERS: Final = frozenset({"local", "declare", "typeset"})
_READS: Final = frozenset({"read", "mapfile", "readarray"})
_EXECUTES: Final = name_set("eval . source trap alias set xargs parallel watch")
_KEYWORDS: Final = name_set("if elif else then fi do done esac while until ! { } time coproc")
_PREFIXES: Final = name_set(
    "sudo doas env exec command builtin nohup nice ionice timeout setsid stdbuf busybox unshare chroot setpriv chrt"
)
"""Commands that start the command behind them."""
_VALUED: Final = name_set("sudo doas env exec nice ionice timeout stdbuf unshare chroot setpriv chrt")
"""Those of them that have options with a value."""
_VALUE_OPTION: Final = re.compile(
    r"-[behiklnv0]{0,4}[acdghkoprstuw]|--(?:user|group|groups|unset|chdir|chroot|host|prompt|role|type|signal|"
    r"kill-after|adjustment|root|wd|setuid|setgid|reuid|regid|argv0)"
)
"""An option whose value may be the next word."""
_RUNNERS: Final = re.compile(
    r"(?:(?:ba|da|z|k|mk|a|c|tc|fi)?sh|python[\d.]*|perl[\d.]*|ruby[\d.]*|php[\d.]*|node|bun|deno|lua[\d.]*|"
    r"su|runuser|script|flock|\$)"
)
"""Shells, interpreters and others that have an option for code, and what a variable names, which may be one."""
_CODE_OPTION: Final = re.compile(r"-\w{0,8}[cepr]\w{0,4}|--(?:command|eval|print|init-command)=?")
_ASSIGNMENT: Final = re.compile(r"(\w+)(?:\[[^\]]*\])?\+?=")
_EXECUTED_VARIABLE: Final = re.compile(r"ps\d|\w*_command|\w*pager|editor|visual|git_ssh|perl5opt")
"""Variables that shells and tools execute by themselves."""
_TOKEN: Final = re.compile(
    r"""
    (?P<escape>\\["'\n])
    |(?P<open>\$\(|[<>]\(|\()
    |(?P<close>\))
    |(?P<tick>\\*`)
    |(?P<document><<<?)
    |(?P<redirect>(?:\d?>{1,2}|<)&?[^\S\n]*[^\s;|&()<>"'`$\\]*)
    |(?P<end>[;|&\n])
    |(?P<quote>["'])
    |(?P<variable>\$\{?[!\#]?(?:\w+|[@*]))
    |(?P<blank>[^\S\n]+)
    |(?P<word>[^\s;|&()<>"'`$\\]+)
    """,
    re.VERBOSE,
)


class _Use(IntEnum):
    """What a command does with a word."""

    HARMLESS = 0
    UNKNOWN = 1
    EXECUTED = 2


class _Value(IntEnum):
    """Where the value of a prefix's option stands."""

    NONE = 0
    NEXT = 1
    HERE = 2
    QUOTED = 3


@dataclass(slots=True)
class _Command:
    """A command as far as it is read, and the substitution or subshell that it stands in."""

    opened_by: str = ""
    around: _Use = _Use.HARMLESS
    """The worst use of the output of the substitutions that it stands in."""
    outer_target: str = ""
    """The variable that the output is assigned to."""
    name: str = ""
    expects_name: bool = True
    """So far there were only keywords, assignments and prefixes: the next word is executed."""
    is_prefixed: bool = False
    value: _Value = _Value.NONE
    in_name: bool = False
    """No blank has ended the name yet."""
    is_runner: bool = False
    """It may still have an option for code, as in `bash -o pipefail -c`."""
    level: _Use = _Use.HARMLESS
    """What the command does with its arguments."""
    target: str = ""
    """The variable that is being assigned."""
    quote: str = ""
    """The quote that its value is in."""
    awaits_code: bool = False
    in_code: str = ""
    """What ends the code that the substitutions here become part of: its quote, or "<<" for a here-document."""
    has_document: bool = False
    """A here-document follows this line."""
    in_case: bool = False
    """Brackets end labels here."""

    @property
    def use(self) -> _Use:
        """What is done with a word that stands here."""
        if self.target:
            return _Use.HARMLESS
        return _Use.EXECUTED if self.expects_name else self.level

    def begin(self) -> None:
        """Begin another command in the same substitution."""
        self.name = self.target = self.quote = ""
        self.expects_name, self.is_prefixed, self.awaits_code = True, False, False
        self.value, self.in_name, self.is_runner = _Value.NONE, False, False

    def expect_code(self) -> None:
        """Take what follows as code, or as a command of its own."""
        self.expects_name = self.is_prefixed = self.awaits_code = True

    def take_name(self, name: str) -> None:
        """Take a word as the command's name."""
        self.name, self.expects_name, self.is_prefixed, self.in_name = name, False, False, True
        self.is_runner = self.is_runner or (name != "$" and _RUNNERS.fullmatch(name) is not None)
        self.awaits_code = name in _EXECUTES
        self.level = _Use.HARMLESS if name in HARMLESS else _Use.EXECUTED if name in _EXECUTES else _Use.UNKNOWN
        if self.has_document:
            self.take_document()

    def take_computed(self) -> None:
        """Take a variable or a substitution as the name, a part of it or the value of a prefix's option."""
        if self.value:
            self.value = max(self.value, _Value.HERE)
        elif (self.expects_name and not self.target) or (self.in_name and self.level == _Use.UNKNOWN):
            self.take_name("$")

    def take_document(self) -> None:
        """Take a here-document as code, if the command executes it."""
        if _RUNNERS.fullmatch(self.name) or self.name in _EXECUTES or (self.is_prefixed and self.expects_name):
            self.in_code = "<<"

    def assign(self, variable: str) -> None:
        """Take what follows as the value of a variable."""
        self.awaits_code = False
        if _EXECUTED_VARIABLE.fullmatch(variable):
            self.take_name("eval")
        else:
            self.target = variable


def executes_download(line: str) -> bool:
    """Return whether a command line, in lower case, executes what curl or wget gives, other than through a pipe."""
    if not any(each in line for each in _DOWNLOADERS):
        return False
    reader = _Reader()
    return any(reader.finds_execution(token.lastgroup or "", token[0]) for token in _TOKEN.finditer(line))


class _Reader:
    """Reads a command line token by token."""

    def __init__(self) -> None:
        self._commands = [_Command()]
        self._downloaded: set[str] = set()
        """Variables that have what was downloaded; `_` once anything was."""
        self._tools = set(_DOWNLOADERS)
        """Programs and functions that download, and variables that name one."""
        self._functions: set[str] = set()
        self._runs_parameters = False
        self._has_references = False
        """A variable may stand for another one."""

    def finds_execution(self, kind: str, text: str) -> bool:
        """Read a token; return whether it shows that a download is executed."""
        command = self._commands[-1]
        match kind:
            case "variable":
                return self._read_variable(command, text.lstrip("${!#"), is_indirect=text.startswith("${!"))
            case "word":
                return self._read_word(command, text)
            case "open" | "close" | "tick":
                self._read_bracket(command, kind, text)
            case _:
                _read_mark(command, kind, text)
        return False

    def _read_bracket(self, command: _Command, kind: str, text: str) -> None:
        if kind == "open" or (kind == "tick" and command.opened_by != text):
            self._open(command, text)
        elif kind == "tick" or ("(" in command.opened_by and not (command.quote or command.in_case)):
            self._close()
        elif not command.quote:
            command.begin()  # the end of a `case` label

    def _open(self, command: _Command, text: str) -> None:
        """Begin a substitution, a subshell or the list of `X=(…)`."""
        target = command.target or command.outer_target
        if text == "(":
            if command.name and not command.target:
                self._functions.add(command.name)  # of `f() {…}`
            inside = _Command(text, command.around, target, in_code=command.in_code)
            if command.target:
                inside.take_name("=(")
                inside.target = command.target
            self._commands.append(inside)
            return
        use = command.use
        if text == "<(" and _RUNNERS.fullmatch(command.name):
            use = _Use.EXECUTED
        elif command.in_code or self._runs_parameters:
            use = max(use, _Use.UNKNOWN)
        self._commands.append(_Command(text, max(command.around, use), target))
        command.take_computed()

    def _close(self) -> None:
        """Return to the command around. A bracket that ends one too early must not make the rest harmless."""
        command, around = self._commands.pop(), self._commands[-1]
        if command.opened_by == "(" and command.expects_name and not around.target:
            around.begin()  # the body of `f() {…}`
        else:
            around.level = max(around.level, command.use)

    def _read_variable(self, command: _Command, name: str, *, is_indirect: bool) -> bool:
        is_executed = _Use.EXECUTED in (command.use, command.around)
        may_be_any = "_" in self._downloaded and (is_indirect or self._has_references)
        if name in self._downloaded or may_be_any:
            if is_executed or self._runs_parameters:
                return True
            self._assign_download(command)
        if f"${name}" in self._tools and command.use == _Use.EXECUTED and self._downloads(command):
            return True
        if is_executed and (name.isdigit() or name in "@*"):
            self._runs_parameters = True
        command.take_computed()
        return False

    def _read_word(self, command: _Command, text: str) -> bool:
        name = text.rsplit("/", 1)[-1] or text
        if name in self._tools and command.use != _Use.HARMLESS and self._downloads(command):
            return True
        if command.quote and _RUNNERS.fullmatch(name):
            command.begin()  # a quote of another argument hid that
        if command.target:
            self._read_value(command, text)
        elif command.value:
            command.value = max(command.value, _Value.HERE)
        elif command.name == "function":
            self._functions.add(text)
            command.begin()
        elif command.expects_name:
            _read_beginning(command, text, name)
        elif command.name in _READS and "_" in self._downloaded:
            self._downloaded.add(text)
        else:
            _read_argument(command, text, name)
            if command.name in _REFERS and text[0] == "-" and "n" in text:
                self._has_references = True
        if name.rsplit("=", 1)[-1] in _DOWNLOADERS:
            self._tools |= {f"${each}" for each in (command.target or command.outer_target).split()}
        return False

    def _read_value(self, command: _Command, text: str) -> None:
        """Read a word of a variable's value, which may be the next variable: `export "A=…" B=…`."""
        if command.name in _DECLARES and (assigned := _ASSIGNMENT.match(text)):
            command.target += f" {assigned[1]}"

    def _downloads(self, command: _Command) -> bool:
        """Take a download; return whether its output is executed."""
        self._downloaded.add("_")
        self._tools |= self._functions
        self._assign_download(command)
        return command.around != _Use.HARMLESS

    def _assign_download(self, command: _Command) -> None:
        self._downloaded |= set((command.target or command.outer_target).split())


def _read_mark(command: _Command, kind: str, text: str) -> None:
    """Read what separates words and commands."""
    match kind:
        case "document":
            _read_document(command, text)
        case "quote":
            _read_quote(command, text)
        case "end":
            command.begin()
            command.has_document = command.has_document and text != "\n"
        case "blank" if not command.quote and command.name not in _LISTS:
            command.target, command.in_name = "", False
            if command.value == _Value.HERE:
                command.value = _Value.NONE


def _read_document(command: _Command, text: str) -> None:
    """Read `<<<` or `<<`."""
    if text == "<<":
        command.has_document = True
        command.take_document()
    elif _RUNNERS.fullmatch(command.name):
        command.level = _Use.EXECUTED


def _read_quote(command: _Command, text: str) -> None:
    if command.value:
        command.value = _Value.HERE if command.value == _Value.QUOTED else _Value.QUOTED
    elif command.in_code == text:
        command.in_code = ""
    elif command.awaits_code and text == '"':
        command.in_code, command.awaits_code = text, False
    elif command.target and command.quote in ("", text):
        command.quote = "" if command.quote else text


def _read_beginning(command: _Command, text: str, name: str) -> None:
    """Read a word where the command's name may stand."""
    if assigned := _ASSIGNMENT.match(text):
        command.assign(assigned[1])
    elif name in _KEYWORDS:
        command.is_prefixed = name == "time"
        command.in_case = command.in_case and name != "esac"
    elif name in _PREFIXES:
        command.name, command.is_prefixed = name, True
        command.value = _Value.NEXT if name == "chroot" else _Value.NONE
    elif command.is_prefixed and (text[0] == "-" or text[0].isdigit()):
        if command.name == "command" and text == "-v":
            command.take_name("which")
        elif command.name in _VALUED and _VALUE_OPTION.fullmatch(text):
            command.value = _Value.NEXT
    else:
        command.take_name(name)


def _read_argument(command: _Command, text: str, name: str) -> None:
    """Read a word behind the command's name."""
    assigned = _ASSIGNMENT.match(text)
    if command.name in _LISTS:
        command.target = text
    elif command.name in _DECLARES and assigned:
        command.assign(assigned[1])
    elif command.name == "printf" and text == "-v":
        command.level = _Use.EXECUTED
    elif _is_before_command(command, text):
        command.in_case = command.in_case or command.name == "case"
        command.is_runner = command.is_runner or command.name == "$"
        command.expect_code()
    elif (command.level == _Use.UNKNOWN or command.name == "kubectl") and _RUNNERS.fullmatch(name):
        command.take_name(name)


def _is_before_command(command: _Command, text: str) -> bool:
    """Return whether a command begins behind an argument of the command."""
    match command.name:
        case "case":
            return text == "in"
        case "find":
            return text in ("-exec", "-execdir", "-ok", "-okdir")
        case "kubectl":
            return text == "--"
        case _:
            is_runner = command.is_runner or command.name == "$"
            return is_runner and command.level != _Use.HARMLESS and _CODE_OPTION.fullmatch(text) is not None
