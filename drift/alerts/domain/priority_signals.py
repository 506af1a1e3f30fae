"""What makes an alert more or less urgent: every signal, its points and its words (docs/priority.md#signals).

Points are fixed and added up: nothing is learned, so two people who read the table get the same priority. A change of
the table comes with a migration that queues all open alerts (docs/priority.md#changing-the-table).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

START: Final = 20
"""The priority of an alert without any signal."""
MOST: Final = 100
MAX_ARGUMENT: Final = 80


@dataclass(frozen=True, slots=True)
class SignalDefinition:
    """One signal. `words` may have one `{}` for the argument; `meaning` is its row in the docs."""

    points: int
    words: str
    meaning: str


Signal = tuple[str, str]
"""The name of a signal, and its argument; "" where its words have none."""

SIGNALS: Final[dict[str, SignalDefinition]] = {
    # The kind of drift.
    "fileless": SignalDefinition(25, "fileless", "kind `fileless`: run from memory"),
    "replaced": SignalDefinition(25, "replaces a file of the image", "kind `replaced`"),
    "loader": SignalDefinition(
        20,
        "started through the dynamic loader",
        "kind `loader`, but where the loader is told, before the program, of libraries beside it (`--library-path`), "
        "which are neither in a temporary nor in a system directory",
    ),
    "foreign_mount": SignalDefinition(15, "on a mount made inside the container", "kind `foreign_mount`"),
    "copied": SignalDefinition(
        10, "a copy of a file of the image", "kind `copy_of_image_file`, where the sensor does not know of which file"
    ),
    "renamed_copy": SignalDefinition(
        20, "a copy of the image's {} under another name", "kind `copy_of_image_file`, and another file name"
    ),
    "foreign_library": SignalDefinition(
        8, "a library that {} wrote", "kind `library`, written by another program than the one that loads it"
    ),
    "server_library": SignalDefinition(
        20, "loaded by the network-facing service {}", "kind `library`: what else runs in a server, its modules do"
    ),
    "own_library": SignalDefinition(
        15, "loads a library that it wrote itself", "a server does so, as with rogue modules of Redis and MySQL"
    ),
    "own_plugin": SignalDefinition(
        -40,
        "a plugin of {}",
        "in a directory `plugins` below one with the name of the service that wrote it and starts it itself, without "
        "arguments; not in a web root or a temporary directory, nor what drift, a runtime or a shell wrote, nor what "
        "is named or called like an attack",
    ),
    "script": SignalDefinition(-15, "a script", "kind `script`, but where the system starts programs"),
    "routine_kind": SignalDefinition(
        -15,
        "{}",
        "kinds `volume`, `interpreter` and `image_volume`, unless a process of the container wrote the file within two "
        "minutes before; not of what is named or called like an attack",
    ),
    "runtime_clone": SignalDefinition(
        -25,
        "the copy of itself that {} starts containers with",
        "kind `fileless`, named as runc names its own copy, and the container runtime, whose file is in a system "
        "directory, started it; not of what is named or called like an attack",
    ),
    # Who wrote the file.
    "downloaded": SignalDefinition(
        10, "written by {} before", "written by a download tool, at most two minutes before it ran"
    ),
    "written_by_service": SignalDefinition(
        20, "written by {}", "written by a server such as `nginx` or `postgres`, or a process that it started"
    ),
    "written_by_runtime": SignalDefinition(
        10,
        "written by {}",
        "written by a language runtime such as `java` or `node`, or a process that it started; not by its build tools",
    ),
    "installed": SignalDefinition(
        -25, "installed by {}", "written by a package manager, a CI runner or the container runtime"
    ),
    "built": SignalDefinition(-25, "built by {}", "written by a compiler or linker that a build tool started"),
    "unpacked": SignalDefinition(
        -25,
        "unpacked by {}",
        "a library that the program which loads it wrote, as JVMs do, or a tool that its own updater wrote; "
        "not by a server, shell or download tool",
    ),
    "decoded": SignalDefinition(
        20,
        "made of text by {}",
        "a program that `base64`, `xxd`, `openssl` or the like wrote: so it comes in where nothing can be downloaded",
    ),
    "drifted_writer": SignalDefinition(
        20,
        "written by drift {} before",
        "writer origin `drift`, also over itself: then no name of the writer lowers, for whoever dropped it chose it",
    ),
    "library_download": SignalDefinition(
        20, "a library that was downloaded alone", "`downloaded`, and kind `library`: they come in packages"
    ),
    "system_download": SignalDefinition(
        15, "downloaded in a system namespace", "`downloaded`, in `kube-system` and the like, whose images are complete"
    ),
    "self_update": SignalDefinition(
        -25,
        "updated by {} itself",
        "kind `replaced`, written by the program that the file is, as updaters do; of servers only `minio` and `caddy`",
    ),
    # Who started it.
    "service_child": SignalDefinition(
        25, "started below the network-facing service {}", "a server among parent and ancestors"
    ),
    "written_and_run": SignalDefinition(
        20,
        "written and run at once by a shell of {}",
        "new, its parent is a shell below a server or runtime, and in the minute before a shell, a download or copy "
        "tool or the service wrote it",
    ),
    "started_by_writer": SignalDefinition(
        15,
        "written and started by {} itself",
        "new, its parent is the server or runtime that wrote it in the minute before; not build places and runtimes",
    ),
    "below_parser": SignalDefinition(
        25,
        "below {}, which reads files of others",
        "a converter such as `exiftool` started it, or the shell that wrote it",
    ),
    "install_payload": SignalDefinition(
        20,
        "written and started at once by a script of a build",
        "`new_in_build`, and the runtime that started it wrote it in the minute before; not `started_by_writer`",
    ),
    "runtime_child": SignalDefinition(12, "started below {}", "a language runtime among parent and ancestors"),
    "build_child": SignalDefinition(
        -20,
        "started by {}",
        "a package manager, build tool or CI runner among parent and ancestors, nearer than any server",
    ),
    "entered": SignalDefinition(
        5, "in an exec session", "session `exec`, where a shell does not show that it is `interactive` already"
    ),
    "planted_in_build": SignalDefinition(
        20,
        "put into a build by hand",
        "`planted`, and in a build, which then lowers nothing: tools of builds come with the image or a package",
    ),
    "planted": SignalDefinition(
        12, "written in an exec session", "writer session `exec`, but run by the workload: what was planted by hand"
    ),
    "interactive": SignalDefinition(
        5, "interactive", "started by an interactive shell that nothing but a login, a terminal or other shells started"
    ),
    "by_hand": SignalDefinition(
        -15,
        "what people try in sessions is often new",
        "`entered` or `interactive`, no download tool wrote it, and nothing else raises it but `copied`, "
        "`temporary_place`, `written_by_runtime` or `root`",
    ),
    # Where it is and what it is called.
    "memory_place": SignalDefinition(20, "in {}", "in `/dev/shm` or `/run/shm`"),
    "temporary_place": SignalDefinition(5, "in {}", "in `/tmp` or `/var/tmp`"),
    "web_place": SignalDefinition(15, "in a directory that a web server serves", "in a web root, and not run by PHP"),
    "hidden_name": SignalDefinition(
        20,
        "hidden name",
        "the name begins with a dot, or a directory does, but of libraries, such as `.cache`, and `~/.tool/bin`",
    ),
    "disguised": SignalDefinition(
        20, "named like {}", "the file name poses as a picture, a document or a system program"
    ),
    "kernel_thread": SignalDefinition(
        30, "named like a kernel thread", "`argv[0]` is in brackets, as those of kernel threads: none has a file"
    ),
    "lookalike": SignalDefinition(25, "letters of two scripts in its name", "Latin mixed with Cyrillic or Greek"),
    "data_place": SignalDefinition(
        10, "in a directory for {}", "in directories such as `logs`, `img`, `uploads` and `sessions`"
    ),
    "wrong_name": SignalDefinition(
        20,
        "named like {}, which is not one file",
        "a runtime, a shell, a compiler or `sudo`, which come in packages, but a download tool, a copy or a shell "
        "wrote this",
    ),
    "system_place": SignalDefinition(
        8, "in {}, not by a package manager", "among the system's programs or libraries, and nothing installed it"
    ),
    "login_program": SignalDefinition(
        25,
        "takes the place of the login program {}",
        "`sshd`, `login`, `su` … and PAM modules, and nothing installed it",
    ),
    "start_place": SignalDefinition(
        25, "in {}, from which the system starts programs", "directories of cron, init, systemd and login profiles"
    ),
    "placed_by_hand": SignalDefinition(
        10, "placed there by {}", "in such a directory, and written by a shell, a copy or a download tool"
    ),
    "build_place": SignalDefinition(
        -15, "in a build or package directory", "`node_modules`, `target`, `go-build` …, and not installed there"
    ),
    "system_namespace": SignalDefinition(5, "in namespace {}", "`kube-system`, `kube-public`, `*-system`"),
    "build_namespace": SignalDefinition(
        -12, "in the build namespace {}", "`ci`, `builds`, `runners`, `tekton` …; not those of CI servers"
    ),
    # What it does: drift.alerts.domain.argv_patterns.
    "miner": SignalDefinition(40, "talks like a miner", "argv: a mining pool or a miner's options"),
    "tunnel": SignalDefinition(30, "opens a tunnel", "argv: options of tunnel and proxy tools"),
    "reverse_shell": SignalDefinition(30, "a shell for someone else", "argv: `/dev/tcp/`, `nc -e`, `bash -i` …"),
    "offers_shell": SignalDefinition(20, "hands a shell on", "argv: a shell for `--exec`, `--pipe`, `--shell` …"),
    "calls_home": SignalDefinition(15, "names where to report to", "argv: `--relay`, `--beacon`, `--upload URL` …"),
    "bare_address": SignalDefinition(20, "connects to a bare address", "argv: a public IPv4 address"),
    "outside_address": SignalDefinition(
        20,
        "names an address outside",
        "argv: a URL whose host has a public top-level domain; not those of libraries, nor of services such as "
        "`payments.billing` and `cart.shop`",
    ),
    "outside_host": SignalDefinition(
        12, "names a host outside", "argv: `host:port` in a public domain; not of tools that fetch, nor of libraries"
    ),
    "credentials": SignalDefinition(30, "reaches for credentials", "argv: service account tokens, metadata, keys"),
    "key_store": SignalDefinition(20, "names a key store", "argv: a file of keys, such as `.jks`, `.p12` or `.kdbx`"),
    "secret_file": SignalDefinition(
        12,
        "names a file with an application's secrets",
        "argv: `wp-config.php`, `master.key`, `.env`, `/run/secrets` …",
    ),
    "seeks_secrets": SignalDefinition(20, "looks for secrets", "argv: searches files for tokens, records keys …"),
    "reads_memory": SignalDefinition(
        20, "reads the memory of a process", "argv: a process id, and memory regions or what to search in them"
    ),
    "guesses": SignalDefinition(25, "guesses passwords", "argv: lists of users and passwords, options of hashcat"),
    "network_range": SignalDefinition(15, "names a network", "argv: an address range, where it is not `scan` already"),
    "scan": SignalDefinition(30, "scans the network", "argv: an address range with ports or a rate"),
    "escape": SignalDefinition(30, "reaches for the host", "argv: `nsenter`, `core_pattern`, `release_agent` …"),
    "loads_code": SignalDefinition(20, "loads code into others", "argv: kernel modules, `LD_PRELOAD=`, `--inject` …"),
    "controller": SignalDefinition(
        25, "writes to a controller of machines", "argv: values for Modbus and other industrial protocols"
    ),
    "runtime_socket": SignalDefinition(12, "uses the container runtime's socket", "argv: `docker.sock` and the like"),
    "encoded": SignalDefinition(15, "runs encoded or downloaded commands", "argv: `base64 -d`, `curl … | sh`"),
    "memory_file": SignalDefinition(12, "uses a file in memory", "argv: a file in `/dev/shm` or `/run/shm`"),
    "exfiltration": SignalDefinition(20, "copies data out", "argv: copies to `remote:bucket`, uploads, drop sites"),
    "renamed_tool": SignalDefinition(
        20, "copies like rclone under another name", "argv: to `remote:bucket`, and the file name is of no copy tool"
    ),
    "ransom": SignalDefinition(30, "writes files under a new extension", "argv: an extension, a note: ransomware"),
    "detached": SignalDefinition(12, "goes to the background", "argv: `--daemon`, `--detach`, `nohup` …"),
    "hidden_file": SignalDefinition(
        20, "uses a hidden file in a temporary directory", "argv: such as `/tmp/.x`; not where its own path has it"
    ),
    "data_files": SignalDefinition(15, "works on the data directory", "argv: a database's files, not by a database"),
    "attack_tool": SignalDefinition(40, "named like the attack tool {}", "the file name is that of a known tool"),
    "dual_use_tool": SignalDefinition(
        20, "named like {}, which attackers use too", "the file name is that of a tool of administrators and attackers"
    ),
    "asks_version": SignalDefinition(-15, "only asks for its version", "argv: nothing but `--version`, `-v`, `--help`"),
    "flood": SignalDefinition(
        25, "counts the files past a limit", "an alert of a flood: what an attacker adds is among its files"
    ),
    # How it ended, and by whom it ran.
    "gone": SignalDefinition(
        10, "gone before it could be read", "hash status `gone`: deleted or replaced as soon as it ran"
    ),
    "root": SignalDefinition(4, "as root", "user id 0"),
    "not_blocked": SignalDefinition(10, "a rule blocks it, but it ran", "outcome `not_blocked`"),
    "blocked": SignalDefinition(-2, "blocked", "outcome `blocked`: every execution was stopped"),
    # What is known about its content, here or in the estate.
    "first_seen": SignalDefinition(10, "first seen {}", "no other workload ran this content, nor did this one before"),
    "seen_before": SignalDefinition(-8, "seen here for {} days", "the content ran at least a week before the alert"),
    "spread_some": SignalDefinition(-6, "also in {} other workloads", "the content ran in 2 to 4 other workloads"),
    "spread_wide": SignalDefinition(-25, "also in {} other workloads", "the content ran in 5 or more other workloads"),
    "renamed_content": SignalDefinition(
        25,
        "known in other workloads as {}",
        "the content ran in 2 or more other workloads, always under one other name",
    ),
    "true_positive": SignalDefinition(
        30, "the same content was a true positive (alert {})", "a reviewer resolved an alert of this content so"
    ),
    "judged_harmless": SignalDefinition(
        -25, "the same content was judged harmless (alert {})", "benign, expected, false positive or accepted risk"
    ),
    # What is known about the way in which it came about: drift.alerts.domain.habits.
    "unlike": SignalDefinition(
        10, "unlike anything {}", "no other workload, nor this one on another day, had an alert of this way"
    ),
    "habit": SignalDefinition(
        -20, "as on {} other days", "this workload had alerts of this way on 3 or more other days"
    ),
    "common": SignalDefinition(
        -12, "the same way in {} other workloads", "alerts of this way in 3 or more other workloads, on 3 or more days"
    ),
    "new_lineage": SignalDefinition(
        20, "never before {}", "no other workload, nor this one on another day, had an alert of this lineage"
    ),
    "known_lineage": SignalDefinition(
        -5, "like alerts on {} other days", "this workload had alerts of this lineage on 2 or more other days"
    ),
    "like_attack": SignalDefinition(
        20, "came about like a true positive (alert {})", "a reviewer resolved an alert of this way so"
    ),
    # What is known about single traits of it: drift.alerts.domain.traits.
    "new_name": SignalDefinition(8, "no file of such a name before {}", "no alert of another day had this name"),
    "known_name": SignalDefinition(
        -12,
        "files of such a name on {} other days",
        "alerts of 2 or more other days had this name; not if it is `unlike` and a `new_lineage`, nor `new_in_build`",
    ),
    "new_command": SignalDefinition(
        8, "no such arguments before {}", "no alert of another day had these arguments; numbers in them do not count"
    ),
    "known_command": SignalDefinition(
        -15,
        "the same arguments on {} other days",
        "alerts of 2 or more other days had these arguments; not where a known name does not count",
    ),
    "new_place": SignalDefinition(
        8,
        "nothing in its directory by its writer before {}",
        "no alert of another day had this directory and this writer",
    ),
    "new_in_build": SignalDefinition(
        18,
        "no everyday work of a build",
        "`build_child`, `build_place` or `build_namespace`, but its arguments are new, and so is its name or they name "
        "an `outside_address`; or a `drifted_writer` wrote it, in a `new_lineage`",
    ),
    "poses": SignalDefinition(
        16,
        "has name and arguments of everyday files, but came about as nothing before",
        "name and arguments that alerts of 2 or more other days had, but `unlike`, a `new_lineage`, and its writer is "
        "known; not of what replaces a file of the image",
    ),
    "used_anew": SignalDefinition(
        25,
        "a known file, but it came about and was called as nothing before",
        "`seen_before`, `spread_some`, `spread_wide` or `judged_harmless`, but `unlike`, a `new_lineage` and a "
        "`new_command`: a tool does what its arguments say",
    ),
    "only_new": SignalDefinition(
        -10,
        "nothing but new",
        "`unlike`, and raised only by being new, `downloaded` or in a session, not both, `copied`, `root`, its place "
        "in `/tmp` or the system, a runtime, or who wrote a library; not `by_hand`, nor what came like a true positive",
    ),
    # Lists of an Owner.
    "known_bad": SignalDefinition(60, "on the known-bad list {}", "an Owner's list of SHA-256 sums has the content"),
    "known_good": SignalDefinition(-50, "on the known-good list {}", "an Owner's list of SHA-256 sums has the content"),
    # What the rule's author thinks of it.
    "severity_medium": SignalDefinition(-10, "severity Medium", "the rule's severity"),
    "severity_low": SignalDefinition(-20, "severity Low", "the rule's severity"),
    "severity_informational": SignalDefinition(-35, "severity Informational", "the rule's severity"),
}


def priority(signals: Iterable[Signal]) -> int:
    """Return the priority, 0 to MOST, of an alert with these signals. Names that are not in the table count nothing."""
    points = sum(SIGNALS[name].points for name, _ in signals if name in SIGNALS)
    return max(0, min(MOST, START + points))


def explanation(signals: Sequence[Signal]) -> str:
    """Return the signals in one line: the weightiest reasons first, then what lowers the priority."""
    known = sorted((signal for signal in signals if signal[0] in SIGNALS), key=lambda each: -SIGNALS[each[0]].points)
    raising = [words(each) for each in known if SIGNALS[each[0]].points > 0]
    lowering = [words(each) for each in reversed(known) if SIGNALS[each[0]].points < 0]
    line = "; ".join(raising)
    return f"{line}{'; ' if line else ''}lowered: {'; '.join(lowering)}" if lowering else line


def contributions(signals: Iterable[Signal]) -> list[tuple[str, str, str]]:
    """Return (points, words, meaning) of each signal, the weightiest first: what START and they add up to."""
    known = sorted((each for each in signals if each[0] in SIGNALS), key=lambda each: -SIGNALS[each[0]].points)
    return [(f"{SIGNALS[each[0]].points:+d}", words(each), SIGNALS[each[0]].meaning.replace("`", "")) for each in known]


def words(signal: Signal) -> str:
    """Return one signal in words."""
    name, argument = signal
    return SIGNALS[name].words.replace("{}", argument)


def signal(name: str, argument: str = "") -> Signal:
    """Return a signal of the table; a long argument, which an attacker may have chosen, is cut."""
    return name, argument if len(argument) <= MAX_ARGUMENT else f"{argument[: MAX_ARGUMENT - 1]}…"
