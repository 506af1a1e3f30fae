"""What shells, `ps` and other programs print around a program's name: prompts, arguments, titles of processes."""

from __future__ import annotations

import re
from typing import Final

# fmt: off
COMMAND_WORDS: Final = frozenset((
    "python", "python2", "python3", "bash", "sh", "dash", "zsh", "ash", "ksh", "java", "node", "nodejs",
    "perl", "ruby", "php", "sudo", "env", "exec", "npm", "npx", "yarn", "pip", "pip3", "curl", "wget",
    "docker", "kubectl", "go", "cargo", "make", "nohup", "timeout", "xargs", "busybox", "cmd", "powershell",
    "pwsh", "deno", "bun", "apt", "apt-get", "apk", "yum", "dnf", "systemctl", "service", "tini", "dumb-init",
    "gosu", "su", "chmod", "echo", "cat", "grep", "rm", "cp", "mv", "mkdir", "tar", "sed", "awk", "chown",
))
"""Programs that usually have arguments: a file called "bash x" is less likely than a command line."""
_WRAPPERS: Final = {
    "sudo": ("AEHKPSbikns", 0), "doas": ("Lns", 0), "exec": ("cl", 0), "nohup": ("", 0), "nice": ("", 0),
    "ionice": ("t", 0), "time": ("pv", 0), "setsid": ("cfw", 0), "command": ("p", 0), "env": ("i0v", 0),
    "stdbuf": ("", 0), "gosu": ("", 1), "su-exec": ("", 1), "tini": ("gsvw", 0), "dumb-init": ("cv", 0),
    "strace": ("cfqvy", 0), "builtin": ("", 0), "taskset": ("ac", 1), "chrt": ("Rabfiorv", 1), "setpriv": ("", 0),
    "unbuffer": ("p", 0), "timeout": ("fpv", 1), "chroot": ("", 1),
}
"""Programs that run another one, which they name: their options without a value, and how many words of their own, such
as a user or a time, stand before it."""
_FLAGS: Final = frozenset((
    "--background", "--clear-groups", "--fifo", "--foreground", "--fork", "--ignore-environment", "--init-groups",
    "--keep-groups", "--login", "--no-new-privs", "--non-interactive", "--preserve-env", "--preserve-status", "--rr",
    "--set-home", "--single-child", "--verbose", "--wait",
))
"""Their long options without a value."""
# fmt: on
ARGUMENTS: Final = "A command's arguments are not part of a file's name."
_PROMPT: Final = re.compile(
    r"^(?:[\w.-]+@[\w.-]+[:\s]?[~/\w.-]*\s?#|"
    r"(?:[\w.-]+@[\w.-]+[:\s]?[~/\w.-]*\s?)?[$%>❯➜»]|PS [A-Za-z]:[^>]*>)\s+(?=[\w./~])"
)
_TITLE: Final = re.compile(
    r"(nginx|sshd|sshd-session|postgres|php-fpm[\d.]*|puma|unicorn|gunicorn|uwsgi|celeryd|redis-server|vsftpd|sidekiq|"
    r"haproxy|apache2|httpd|supervisord|proftpd|dovecot|avahi-daemon): \S.*",
    re.S,
)
_LOGIN: Final = re.compile(r"-((?:ba|z|k|da|a|c|tc|fi|mk)?sh|su)")
_NUMBERED: Final = re.compile(r"([A-Za-z][\w.+-]*)(?:\[\d+\]|\(\d+\)|,\d+)")


def without_arguments(string: str) -> str | None:
    """Return the program of what looks like a command line; None where it may be a file's name with blanks.

    It is "" where a command such as `nice -n 10 /opt/run` runs another, and its options leave open which.
    """
    program, blank, rest = string.partition(" ")
    if not blank or not rest.strip():
        return None
    wrapped = _unwrapped([program, *rest.split()])
    string = string if wrapped is None else wrapped
    program, _, rest = string.partition(" ")
    is_command = program.rpartition("/")[2] in COMMAND_WORDS
    has_option = (
        re.search(r"(?:^|\s)(?:--?[A-Za-z][\w-]*|\.{0,2}/\S+|[\w.]+=\S+|\$\S+|[|>&;]+.*)(?:\s|$)", rest) is not None
    )
    if not is_command and not has_option:
        return wrapped
    # Where a directory of the path has a blank in its name, the first word is none; behind an option it is an argument.
    path = re.match(r"(/(?:(?!\s-).)*?\s[(]?\w[^/\s]*/.*?)(?:\s+-.*|$)", string)
    return path[1] if path and not is_command else program


def _unwrapped(words: list[str]) -> str | None:
    """Return the command that one such as sudo runs, itself perhaps by another.

    None where it runs none, "" where options leave it open.
    """
    start = 0
    # A path has room for a thousand of them: more than calls may stand in each other.
    while (behind := _wrapped_at(words, start)) > start:
        start = behind
    return " ".join(words[start:]) if start else None


def _wrapped_at(words: list[str], start: int) -> int:
    """Return where the command begins that a wrapper runs: `start` if it runs none, the end where it is open."""
    wrapper = _WRAPPERS.get(words[start].rpartition("/")[2]) if start < len(words) else None
    if wrapper is None:
        return start
    letters, own = wrapper
    flag = re.compile(rf"-[{letters}]+|--[\w-]+=\S*|[A-Za-z_]\w*=\S*" if letters else r"--[\w-]+=\S*|[A-Za-z_]\w*=\S*")
    at = start + 1
    while at < len(words) and (words[at] in _FLAGS or flag.fullmatch(words[at])):
        at += 1
    if words[at : at + 1] == ["--"]:
        at += 1
    elif at < len(words) and words[at].startswith("-"):
        return len(words)  # what follows may be the option's value
    at += own
    if at >= len(words):
        return start
    return at if re.match(r"\.{0,2}/|[A-Za-z_]", words[at]) else len(words)


def program_of(string: str) -> str:
    """Return the program of what looks like a command line, "" where that is open; any other string as it is."""
    program = without_arguments(string)
    return string if program is None else program


def strip_prompt(string: str) -> tuple[str, str] | None:
    """The prompt of a shell before a command."""
    return _PROMPT.sub("", string, count=1), "A prompt is not part of a name."


def program_of_title(string: str) -> tuple[str, str] | None:
    """The program of a process that calls itself otherwise, as `nginx: worker process` or `-bash`."""
    if found := _TITLE.fullmatch(string):
        return found[1], "A process may show another title: programs are compared by the name of their file."
    if found := _LOGIN.fullmatch(string):
        return found[1], "A login shell shows a hyphen before its name: its file has none."
    return None


def strip_pid(string: str) -> tuple[str, str] | None:
    """The number behind a name, as `pstree -p` and logs have it."""
    found = _NUMBERED.fullmatch(string)
    return (found[1], "A number is not part of a name.") if found else None
