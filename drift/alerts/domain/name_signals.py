"""The signals of what a file is called, and of what its process calls itself. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from drift.alerts.domain import program_names as names
from drift.alerts.domain.argv_patterns import attack_tool, dual_use_tool
from drift.alerts.domain.priority_signals import Signal, signal
from drift.alerts.domain.starters import checked_name
from sensor import wire
from sensor.names.visible_text import has_mixed_scripts


def name_signals(event: wire.Event) -> Iterator[Signal]:
    """Yield the signals of a file's name, and of the name that its process shows."""
    process = event.process
    *directories, name = process.path.split("/")
    shown = process.argv[0] if process.argv else ""
    if name.startswith(".") or _is_in_hidden(event, directories):
        yield signal("hidden_name")
    if names.KERNEL_THREAD.match(shown):
        yield signal("kernel_thread")
    elif name in names.SYSTEM_PROGRAMS and event.kind != "replaced":
        yield signal("disguised", f"the system's {name}")
    elif names.DOCUMENTS.search(name.lower()):
        yield signal("disguised", f"a {name.rsplit('.', 1)[-1]} file")
    if name[:15] in names.POSED and _is_single_file(event):
        yield signal("wrong_name", name)
    if has_mixed_scripts(process.path):
        yield signal("lookalike")
    if tool := attack_tool(name):
        yield signal("attack_tool", tool)
    elif tool := dual_use_tool(name):
        yield signal("dual_use_tool", tool)


def _is_in_hidden(event: wire.Event, directories: list[str]) -> bool:
    """Return whether the file is in a hidden directory that no tool is known to make."""
    if event.kind == "library":
        return False  # runtimes keep them in caches of such names
    hidden = [each for each in directories if each.startswith(".") and each not in names.DOT_DIRECTORIES]
    if not hidden or names.DOMAIN.match(hidden[0]):
        return False
    return len(hidden) > 1 or not names.HOME_TOOL.match(event.process.path)


def _is_single_file(event: wire.Event) -> bool:
    """Return whether a new file came by a download tool, decoder, copy or shell, and is not a copy of the image's."""
    writer = event.process.written_by
    if writer is None or event.kind not in ("new_file", "volume", "loader"):
        return False
    return names.is_named(checked_name(writer), names.DOWNLOADERS | names.DECODERS | names.SHELLS | names.PLACERS)
