"""The signals that the execution itself gives: pure, from one event, and the same whoever looks (docs/priority.md)."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from posixpath import basename
from typing import Final

from drift.alerts.domain import program_names as names
from drift.alerts.domain.command_signals import command_signals
from drift.alerts.domain.loader_lines import is_bundled
from drift.alerts.domain.name_signals import name_signals
from drift.alerts.domain.priority_signals import SIGNALS, Signal, signal
from drift.alerts.domain.starters import (
    below_cron,
    build_above,
    checked_name,
    is_build,
    is_interactive,
    is_session,
    names_above,
)
from sensor import wire

ROUTINE_KINDS: Final = {
    "volume": "on a volume",
    "interpreter": "a script for an interpreter of the image",
    "image_volume": "from another image",
}
FRESH_SECONDS: Final = 120
"""A downloaded file that runs within this time was downloaded in order to run."""
AT_ONCE_SECONDS: Final = 60
SERVICE_SECONDS: Final = 3_600
"""Who makes a server write a program starts it soon; the apps and plugins that servers install stay for months."""
ATTACKS: Final = frozenset(
    {
        "attack_tool",
        "dual_use_tool",
        "miner",
        "tunnel",
        "reverse_shell",
        "scan",
        "escape",
        "credentials",
        "key_store",
        "exfiltration",
        "ransom",
        "reads_memory",
        "seeks_secrets",
        "guesses",
        "offers_shell",
        "loads_code",
        "controller",
    }
)
NOT_OF_ATTACKS: Final = frozenset({"routine_kind", "runtime_clone", "own_plugin"})
"""They lower nothing that is named or called like an attack."""
PLANTED_KINDS: Final = frozenset({"script", "routine_kind"})
"""They lower nothing that a person put there for the workload to run."""
BUILDS: Final = frozenset({"build_child", "build_place", "build_namespace"})
"""What is everyday in a build lowers nothing that is named or called like an attack."""
INSTALLERS: Final = names.PACKAGE_MANAGERS | names.INSTALLERS
WRITE_ANYTHING: Final = names.SHELLS | names.COPIERS | names.DOWNLOADERS | names.RUNTIMES | names.DECODERS
TAKEN_OVER: Final = names.SERVERS | names.PARSERS
"""Whoever breaks into one of these writes and starts files as it: only names.SELF_UPDATERS update themselves."""
NO_UPDATERS: Final = (WRITE_ANYTHING | TAKEN_OVER) - names.SELF_UPDATERS
MADE: Final = frozenset({"installed", "built"})
SESSIONS: Final = frozenset({"entered", "interactive"})
EVERYDAY: Final = frozenset({"copied", "temporary_place", "root", "written_by_runtime"})
"""What raises most of what people try in sessions. Not what they download: so do attackers with a stolen login."""
SHORT_NAME: Final = 3
"""Characters of a name that says too little to call its writer the same program."""


def exec_signals(event: wire.Event, outcome: str) -> list[Signal]:
    """Return the signals of an alert's first event; `outcome` is the most serious of all its events."""
    found = list(
        chain(
            _kind(event),
            _writer(event),
            _starter(event),
            _session(event),
            _place(event),
            name_signals(event),
            command_signals(event),
            _rest(event, outcome),
        )
    )
    builds = [each for each in found if each[0] in BUILDS]
    is_attack = any(name in ATTACKS for name, _ in found)
    # Starter, directory and namespace of a build are one fact, which counts once; and what runs while it is installed
    # or built is not yet what was installed.
    is_planted = any(name == "planted" for name, _ in found)
    counted = [] if is_attack or is_planted else sorted(builds, key=lambda each: SIGNALS[each[0]].points)[:1]
    if is_planted and builds:
        found.append(signal("planted_in_build"))
    dropped = (MADE if counted else frozenset()) | (NOT_OF_ATTACKS if is_attack else frozenset())
    if is_planted:
        dropped |= PLANTED_KINDS
    kept = [each for each in found if each[0] not in dropped and (each not in builds or each in counted)]
    return [*kept, signal("by_hand")] if _is_by_hand(event, kept) else kept


def _is_by_hand(event: wire.Event, found: list[Signal]) -> bool:
    """Return whether a person started it, did not download it, and nothing but everyday facts raises it."""
    writer = event.process.written_by
    if writer is not None and names.is_named(checked_name(writer), names.DOWNLOADERS):
        return False  # however long ago: who waits two minutes gains nothing
    raising = {name for name, _ in found if SIGNALS[name].points > 0}
    return not raising.isdisjoint(SESSIONS) and raising <= SESSIONS | EVERYDAY


def age_words(seconds: float) -> str:
    """Return a length of time in its largest unit, as in "3 s" or "5 min"."""
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length:.0f} {unit}"
    return f"{seconds:.0f} s" if seconds >= 1 else f"{max(0.0, seconds) * 1000:.0f} ms"


def _kind(event: wire.Event) -> Iterator[Signal]:
    process = event.process
    if _is_routine(event):
        yield signal("routine_kind", ROUTINE_KINDS[event.kind])
    elif event.kind == "library" and names.is_named(basename(process.via or ""), names.SERVERS):
        yield signal("server_library", basename(process.via or ""))
    elif event.kind in ("fileless", "replaced", "loader", "foreign_mount"):
        if not is_bundled(event):
            yield signal(event.kind)
        if runtime := _cloning_runtime(event):
            yield signal("runtime_clone", runtime)
    elif event.kind == "script" and not names.START_PLACE.search(process.path):
        # What cron and init start are scripts: there it says nothing.
        yield signal("script")
    elif event.kind == "copy_of_image_file" and not process.copy_of:
        yield signal("copied")
    elif event.kind == "copy_of_image_file" and basename(process.copy_of or "") != basename(process.path):
        yield signal("renamed_copy", basename(process.copy_of or ""))


def _cloning_runtime(event: wire.Event) -> str:
    """Return the container runtime that starts a container by a copy of itself in memory; "" where none does.

    Anybody may name memory and themselves so: only the parent's file tells, where not everybody may write it.
    """
    parent = event.process.parent
    path = parent.path if parent and parent.path else ""
    is_clone = event.kind == "fileless" and names.RUNTIME_CLONE.match(event.process.path)
    is_runtime = basename(path)[:15] in names.CLONING and names.SYSTEM_PLACE.search(path)
    return basename(path) if is_clone and is_runtime else ""


def _is_routine(event: wire.Event) -> bool:
    """Return whether it is what a deployment mounts: not where a process has just written the file there."""
    writer = event.process.written_by
    # Of another container or the node, but `kubectl cp`: init containers and drivers of volumes.
    is_outside = _facts(event).writer_origin == "runtime" and writer is not None and writer.name != "tar"
    fresh = writer is not None and not is_outside and _age_seconds(writer, event) <= FRESH_SECONDS
    return event.kind in ROUTINE_KINDS and not fresh


def _age_seconds(writer: wire.Writer, event: wire.Event) -> float:
    return max(0.0, (event.observed_at - writer.at).total_seconds())


def _is_loaded_by(event: wire.Event, name: str) -> bool:
    """Return whether the program of this name loads the library: `via` is that, the parent only where it is missing."""
    process = event.process
    if process.via:
        return names.is_same_program(basename(process.via), name)
    return process.parent is not None and names.is_same_program(checked_name(process.parent), name)


def _is_compiled_for_itself(event: wire.Event, writer: str) -> bool:
    """Return whether the program that loads the library had it compiled, as numeric libraries of Python do."""
    parent = event.process.written_by.parent if event.process.written_by else None
    return parent is not None and names.is_named(writer, names.COMPILERS) and _is_loaded_by(event, parent.name)


def _service(line: list[str], server: str, runtime: str) -> Iterator[Signal]:
    """Return the signal of the nearest server, else of the nearest runtime."""
    for name, kinds in ((server, names.SERVERS), (runtime, names.RUNTIMES)):
        if found := next((each for each in line if names.is_named(each, kinds)), ""):
            yield signal(name, found)
            return


def _writer(event: wire.Event) -> Iterator[Signal]:
    writer = event.process.written_by
    if writer is None:
        return
    if _facts(event).writer_origin == "drift":
        # Who dropped the writer chose its name too. Nor does it help to be overwritten by oneself: what the file was
        # before is not what runs now. Tools that update themselves come again on other days, which lowers them.
        yield signal("drifted_writer", age_words(_age_seconds(writer, event)))
    else:
        yield from _named_writer(event, writer)
        if event.kind not in ("script", "interpreter") and names.is_named(checked_name(writer), names.DECODERS):
            yield signal("decoded", checked_name(writer))


def _named_writer(event: wire.Event, writer: wire.Writer) -> Iterator[Signal]:
    process, seconds = event.process, _age_seconds(writer, event)
    name = checked_name(writer)
    writers = [name, *([writer.parent.name] if writer.parent else [])]
    if _is_self_update(event):
        yield signal("self_update", name)
        yield from _written_by_service(writers, seconds)
        return
    is_updater = len(process.name) > SHORT_NAME and name.startswith(process.name[:15])
    is_loaded = event.kind == "library" and _is_loaded_by(event, name)
    unpacks = not names.is_named(name, names.SERVERS | names.SHELLS | names.DOWNLOADERS | names.COPIERS)
    # The writer's parent counts for package managers alone: a runtime or runner stands above every command.
    is_installed = any(names.is_named(each, names.PACKAGE_MANAGERS) for each in writers)
    if is_installed or names.is_named(name, names.INSTALLERS | names.RUNNERS):
        yield signal("installed", name)
    elif names.is_named(name, names.COMPILERS | names.BUILD_TOOLS) and is_build([*writers[1:], *names_above(event)]):
        yield signal("built", name)
    elif unpacks and (is_loaded or (is_updater and not names.is_named(name, names.RUNTIMES | names.PARSERS))):
        yield signal("unpacked", f"{name}, which loads it" if is_loaded else name)
    elif names.is_named(name, names.DOWNLOADERS) and seconds <= FRESH_SECONDS:
        yield signal("downloaded", f"{name} {age_words(seconds)}")
        if event.kind == "library":
            yield signal("library_download")
        if names.SYSTEM_NAMESPACE.search(event.container.namespace or ""):
            yield signal("system_download")
    else:
        yield from _written_by_service(writers, seconds)
        if is_loaded and names.is_named(name, names.SERVERS):
            yield signal("own_library")
        elif event.kind == "library" and not _is_compiled_for_itself(event, name):
            yield signal("foreign_library", name)


def _written_by_service(writers: list[str], seconds: float) -> Iterator[Signal]:
    name = writers[0]
    for found, program in _service(writers, "written_by_service", "written_by_runtime"):
        if found == "written_by_service" and seconds > SERVICE_SECONDS:
            return  # an app or plugin that the service was given
        service = f"the network-facing service {program}" if found == "written_by_service" else program
        yield signal(found, service if program == name else f"{name} below {service}")


def _is_self_update(event: wire.Event) -> bool:
    """Return whether a program wrote its own file anew, and is of those that may: no shell, server or download tool."""
    writer, path = event.process.written_by, event.process.path
    if event.kind != "replaced" or writer is None or writer.path != path or _facts(event).writer_origin == "drift":
        return False
    return not names.is_named(basename(path), NO_UPDATERS) and not names.LOGIN_PROGRAM.search(path)


def _facts(event: wire.Event) -> wire.ProcessProvenance:
    return event.process.provenance or wire.ProcessProvenance()


def _session(event: wire.Event) -> Iterator[Signal]:
    """Return what is known of people: the kernel's own evidence, where names of shells are none."""
    known = _facts(event)
    if known.session == "exec" and not is_interactive(names_above(event)):
        yield signal("entered")
    if known.written_in_session == "exec" and known.session == "workload":
        yield signal("planted")


def _starter(event: wire.Event) -> Iterator[Signal]:
    line = names_above(event)
    via = basename(event.process.via or "")
    is_service = event.kind == "library" and (not via or names.is_named(via, names.SERVERS | names.RUNTIMES))
    if is_service or _is_routine(event):
        # What loads a library, or runs a script of a volume, is the service itself and not something that broke out.
        return
    writer = event.process.written_by
    parsers = [*line, *([writer.parent.name] if writer and writer.parent else [])]
    if parser := next((each for each in parsers if names.is_named(each, names.PARSERS)), ""):
        yield signal("below_parser", parser)
    if build := build_above(event):
        yield signal("build_child", build)
        return
    if is_session(line):
        if is_interactive(line):
            yield signal("interactive")
        return
    if _is_plugin(event, line):
        yield signal("own_plugin", line[0])
    found = list(_service(below_cron(line), "service_child", "runtime_child"))
    yield from found
    if not found or event.kind == "script":
        return
    if _is_written_and_run(event, line, found[0][1]):
        yield signal("written_and_run", found[0][1])
    elif _is_started_by_writer(event):
        yield signal("started_by_writer", line[0])


def _is_plugin(event: wire.Event, line: list[str]) -> bool:
    """Return whether a service starts, without a shell or arguments, what it wrote to its directory of plugins.

    Its directory has its name. Who takes over PHP writes to a web root, and who drops a program chooses its name too.
    """
    process, path = event.process, event.process.path
    writer, above = process.written_by, path.split("/plugins/")[0].split("/")
    is_bare = len(process.argv) == 1 and not process.argv_truncated and event.kind in ("new_file", "volume")
    if writer is None or not line or not is_bare or "/plugins/" not in path or _facts(event).writer_origin == "drift":
        return False
    if path.startswith(names.WRITABLE) or names.WEB_PLACE.search(path) or names.is_named(line[0], WRITE_ANYTHING):
        return False
    return line[0] in above and names.is_same_program(checked_name(writer), line[0])


def _is_written_and_run(event: wire.Event, line: list[str], service: str) -> bool:
    writer = event.process.written_by
    if writer is None or not names.is_named(line[0], names.SHELLS):
        return False
    name = checked_name(writer)
    wrote = name == service or names.is_named(name, names.SHELLS | names.DOWNLOADERS | names.COPIERS)
    return wrote and _age_seconds(writer, event) <= AT_ONCE_SECONDS


def _is_started_by_writer(event: wire.Event) -> bool:
    """Return whether a service started, without a shell, what it had just written: not its environment or a build."""
    path = event.process.path
    is_routine = names.is_named(basename(path), names.RUNTIMES) or names.BUILD_PLACE.search(path)
    return starts_what_it_wrote(event, names.SERVERS | names.RUNTIMES) and not is_routine


def starts_what_it_wrote(event: wire.Event, programs: frozenset[str] = names.RUNTIMES) -> bool:
    """Return whether one of these programs started, without a shell, what it had written in the minute before."""
    writer, line = event.process.written_by, names_above(event)
    if writer is None or not line or _age_seconds(writer, event) > AT_ONCE_SECONDS:
        return False
    return names.is_named(line[0], programs) and names.is_same_program(checked_name(writer), line[0])


def _place(event: wire.Event) -> Iterator[Signal]:
    path = event.process.path
    if path.startswith(("/dev/shm/", "/run/shm/")):  # noqa: S108 - where malware lives
        yield signal("memory_place", path[: path.index("/", 5)] if path.startswith("/run") else "/dev/shm")  # noqa: S108
    elif path.startswith(("/tmp/", "/var/tmp/")):  # noqa: S108
        yield signal("temporary_place", "/tmp" if path.startswith("/tmp/") else "/var/tmp")  # noqa: S108
    yield from _data_place(event)
    writer = event.process.written_by
    is_drift = _facts(event).writer_origin == "drift"
    installed = writer is not None and not is_drift and names.is_named(checked_name(writer), INSTALLERS)
    if names.BUILD_PLACE.search(path) and not installed:
        # Installed there: one fact, which counts once.
        yield signal("build_place")
    if names.SYSTEM_PLACE.search(path) and not installed:
        yield signal("system_place", path[: path.rindex("/")])
    is_placed = event.kind == "replaced" or names.SYSTEM_PLACE.search(path)
    if names.LOGIN_PROGRAM.search(path) and is_placed and not installed:
        yield signal("login_program", basename(path))
    if names.START_PLACE.search(path) and not installed:
        yield from _start_place(path, checked_name(writer) if writer else "")
    namespace = event.container.namespace or ""
    if names.SYSTEM_NAMESPACE.search(namespace):
        yield signal("system_namespace", namespace)
    elif names.BUILD_NAMESPACE.search(namespace):
        yield signal("build_namespace", namespace)


def _data_place(event: wire.Event) -> Iterator[Signal]:
    path = event.process.path
    if names.DATA_PLACE.search(path) and event.kind != "library" and not path.startswith(names.WRITABLE):
        yield signal("data_place", path.rsplit("/", 2)[1])
    if names.WEB_PLACE.search(path) and event.kind != "interpreter":
        yield signal("web_place")


def _start_place(path: str, writer: str) -> Iterator[Signal]:
    yield signal("start_place", path[: path.rindex("/")])
    if names.is_named(writer, names.SHELLS | names.COPIERS | names.DOWNLOADERS):
        yield signal("placed_by_hand", writer)


def _rest(event: wire.Event, outcome: str) -> Iterator[Signal]:
    if event.process.hash_status == "gone":
        yield signal("gone")
    if event.process.uid == 0:
        yield signal("root")
    if outcome in ("blocked", "not_blocked"):
        yield signal(outcome)
