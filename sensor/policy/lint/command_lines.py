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
_WRAPPERS: Final = frozenset((
    "sudo", "doas", "exec", "nohup", "nice", "ionice", "time", "setsid", "command", "env", "stdbuf", "gosu", "su-exec",
    "tini", "dumb-init", "strace", "builtin", "taskset", "chrt", "setpriv", "unbuffer",
))
"""Programs that run another one, which they name."""
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
    """Return the program of what looks like a command line; None where it may be a file's name with blanks."""
    program, blank, rest = string.partition(" ")
    if not blank or not rest.strip():
        return None
    if wrapped := _wrapped(program, rest):
        return without_arguments(wrapped) or wrapped
    is_command = program.rpartition("/")[2] in COMMAND_WORDS
    has_option = (
        re.search(r"(?:^|\s)(?:--?[A-Za-z][\w-]*|\.{0,2}/\S+|[\w.]+=\S+|\$\S+|[|>&;]+.*)(?:\s|$)", rest) is not None
    )
    if not is_command and not has_option:
        return None
    # Where a directory of the path has a blank in its name, the first word is none; behind an option it is an argument.
    path = re.match(r"(/(?:(?!\s-).)*?\s[(]?\w[^/\s]*/.*?)(?:\s+-.*|$)", string)
    return path[1] if path and not is_command else program


def _wrapped(program: str, rest: str) -> str | None:
    """Return the command that one such as sudo runs; None where its own options leave that open."""
    if program.rpartition("/")[2] not in _WRAPPERS:
        return None
    words = rest.split()
    while words and (words[0] == "--" or re.fullmatch(r"-\w|--[\w-]+(?:=\S*)?|[A-Za-z_]\w*=\S*", words[0])):
        if re.fullmatch(r"-\w", words[0]) and words[0] not in ("-E", "-i", "-H", "-n", "-S"):
            return None  # what follows may be the option's value
        words.pop(0)
    return " ".join(words) or None


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
