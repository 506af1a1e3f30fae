"""The signals that the execution itself gives: pure, from one event, and the same whoever looks (docs/priority.md)."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from posixpath import basename
from typing import Final

from drift.alerts.domain import program_names as names
from drift.alerts.domain.argv_patterns import argv_signals, attack_tool, only_asks_version
from drift.alerts.domain.priority_signals import Signal, signal
from sensor import wire
from sensor.names.visible_text import has_mixed_scripts

ROUTINE_KINDS: Final = {
    "volume": "on a volume",
    "interpreter": "a script for an interpreter of the image",
    "image_volume": "from another image",
}
FRESH_SECONDS: Final = 120
"""A downloaded file that runs within this time was downloaded in order to run."""
SHORT_NAME: Final = 3
"""Characters of a name that says too little to call its writer the same program."""


def exec_signals(event: wire.Event, outcome: str) -> list[Signal]:
    """Return the signals of an alert's first event; `outcome` is the most serious of all its events."""
    return list(
        chain(
            _kind(event),
            _writer(event),
            _starter(event),
            _place(event),
            _names(event),
            _argv(event),
            _rest(event, outcome),
        )
    )


def age_words(seconds: float) -> str:
    """Return a length of time in its largest unit, as in "3 s" or "5 min"."""
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length:.0f} {unit}"
    return f"{seconds:.0f} s" if seconds >= 1 else f"{max(0.0, seconds) * 1000:.0f} ms"


def _kind(event: wire.Event) -> Iterator[Signal]:
    process = event.process
    if event.kind in ROUTINE_KINDS:
        yield signal("routine_kind", ROUTINE_KINDS[event.kind])
    elif event.kind in ("fileless", "replaced", "loader", "foreign_mount"):
        yield signal(event.kind)
    elif event.kind == "script":
        yield signal("script")
    elif event.kind == "copy_of_image_file" and basename(process.copy_of or "") != basename(process.path):
        yield signal("renamed_copy", basename(process.copy_of or "") or "file")


def _ancestry(event: wire.Event) -> list[str]:
    """Return the names of parent and ancestors, nearest first."""
    parent = event.process.parent
    return [*([_checked_name(parent)] if parent else []), *(each.name for each in event.process.ancestors)]


def _checked_name(process: wire.Parent | wire.Writer) -> str:
    """Return a process's name; its file's name where the process gave itself another one.

    Any process may call itself dpkg, and any file in /tmp may be called so: then its path is returned, which no table
    has. Scripts have their own name and the path of their interpreter.
    """
    if process.path is None:
        return process.name
    if process.path.startswith(names.WRITABLE):
        return process.path
    file = basename(process.path)
    is_script = names.is_named(file, names.RUNTIMES | names.SHELLS)
    is_same = is_script or file[:15] == process.name[:15] or file.startswith(process.name.split(" ")[0][:15])
    return process.name if is_same else file


def _is_build(line: list[str]) -> bool:
    return any(names.is_named(each, names.PACKAGE_MANAGERS | names.BUILD_TOOLS | names.RUNNERS) for each in line)


def _service(line: list[str], server: str, runtime: str) -> Iterator[Signal]:
    """Return the signal of the nearest server, else of the nearest runtime."""
    for name, kinds in ((server, names.SERVERS), (runtime, names.RUNTIMES)):
        if found := next((each for each in line if names.is_named(each, kinds)), ""):
            yield signal(name, found)
            return


def _writer(event: wire.Event) -> Iterator[Signal]:
    process, writer = event.process, event.process.written_by
    if writer is None:
        return
    seconds = max(0.0, (event.observed_at - writer.at).total_seconds())
    name = _checked_name(writer)
    writers = [name, *([writer.parent.name] if writer.parent else [])]
    started_by = _checked_name(process.parent) if process.parent else ""
    is_updater = len(process.name) > SHORT_NAME and name.startswith(process.name[:15])
    is_own = is_updater or (event.kind == "library" and name == started_by)
    if any(names.is_named(each, names.PACKAGE_MANAGERS | names.INSTALLERS | names.RUNNERS) for each in writers):
        yield signal("installed", name)
    elif names.is_named(name, names.COMPILERS | names.BUILD_TOOLS) and _is_build([*writers[1:], *_ancestry(event)]):
        yield signal("built", name)
    elif is_own:
        yield signal("unpacked", name)
    elif names.is_named(name, names.DOWNLOADERS) and seconds <= FRESH_SECONDS:
        yield signal("downloaded", f"{name} {age_words(seconds)}")
    else:
        yield from _service(writers, "written_by_service", "written_by_runtime")
        if event.kind == "library":
            yield signal("foreign_library", name)


def _starter(event: wire.Event) -> Iterator[Signal]:
    line = _ancestry(event)
    if event.kind in ("library", *ROUTINE_KINDS):
        # What loads a library, or runs a script of a volume, is the service itself and not something that broke out.
        return
    if build := next((each for each in line if _is_build([each])), ""):
        yield signal("build_child", build)
        return
    yield from _service(line, "service_child", "runtime_child")
    if line and line[0][:15] in names.INTERACTIVE_SHELLS and all(each[:15] in names.SESSION_STARTS for each in line):
        yield signal("interactive")


def _place(event: wire.Event) -> Iterator[Signal]:
    path = event.process.path
    if path.startswith(("/dev/shm/", "/run/shm/")):  # noqa: S108 - where malware lives
        yield signal("memory_place", path[: path.index("/", 5)] if path.startswith("/run") else "/dev/shm")  # noqa: S108
    elif path.startswith(("/tmp/", "/var/tmp/")):  # noqa: S108
        yield signal("temporary_place", "/tmp" if path.startswith("/tmp/") else "/var/tmp")  # noqa: S108
    if names.WEB_PLACE.search(path) and event.kind != "interpreter":
        yield signal("web_place")
    if names.BUILD_PLACE.search(path):
        yield signal("build_place")
    writer = event.process.written_by
    installed = writer is not None and names.is_named(_checked_name(writer), names.PACKAGE_MANAGERS | names.INSTALLERS)
    if names.SYSTEM_PLACE.search(path) and not installed:
        yield signal("system_place", path[: path.rindex("/")])
    namespace = event.container.namespace or ""
    if names.SYSTEM_NAMESPACE.search(namespace):
        yield signal("system_namespace", namespace)
    elif names.BUILD_NAMESPACE.search(namespace):
        yield signal("build_namespace", namespace)


def _names(event: wire.Event) -> Iterator[Signal]:
    process = event.process
    *directories, name = process.path.split("/")
    shown = process.argv[0] if process.argv else ""
    hidden = [each for each in directories if each.startswith(".") and each not in names.DOT_DIRECTORIES]
    if (hidden and not names.DOMAIN.match(hidden[0])) or name.startswith("."):
        yield signal("hidden_name")
    if names.KERNEL_THREAD.match(shown):
        yield signal("disguised", "a kernel thread")
    elif name in names.SYSTEM_PROGRAMS and event.kind != "replaced":
        yield signal("disguised", f"the system's {name}")
    elif names.DOCUMENTS.search(name.lower()):
        yield signal("disguised", f"a {name.rsplit('.', 1)[-1]} file")
    if has_mixed_scripts(process.path):
        yield signal("lookalike")
    if tool := attack_tool(name):
        yield signal("attack_tool", tool)


def _argv(event: wire.Event) -> Iterator[Signal]:
    argv = event.process.argv
    found = argv_signals(argv)
    if "data_files" in found and names.is_named(event.process.name, names.SERVERS):
        found.remove("data_files")
    yield from (signal(name) for name in found)
    if not found and only_asks_version(argv):
        yield signal("asks_version")


def _rest(event: wire.Event, outcome: str) -> Iterator[Signal]:
    if event.process.uid == 0:
        yield signal("root")
    if outcome in ("blocked", "not_blocked"):
        yield signal(outcome)
