"""The signals of what a file is called, and of what its process calls itself. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from drift.alerts.domain import program_names as names
from drift.alerts.domain.argv_patterns import attack_tool, dual_use_tool
from drift.alerts.domain.priority_signals import Signal, signal
from sensor import wire
from sensor.names.visible_text import has_mixed_scripts


def name_signals(event: wire.Event) -> Iterator[Signal]:
    """Yield the signals of a file's name, and of the name that its process shows."""
    process = event.process
    *directories, name = process.path.split("/")
    shown = process.argv[0] if process.argv else ""
    hidden = [each for each in directories if each.startswith(".") and each not in names.DOT_DIRECTORIES]
    if event.kind == "library":
        hidden = []  # runtimes keep them in caches of such names
    if (hidden and not names.DOMAIN.match(hidden[0])) or name.startswith("."):
        yield signal("hidden_name")
    if names.KERNEL_THREAD.match(shown):
        yield signal("kernel_thread")
    elif name in names.SYSTEM_PROGRAMS and event.kind != "replaced":
        yield signal("disguised", f"the system's {name}")
    elif names.DOCUMENTS.search(name.lower()):
        yield signal("disguised", f"a {name.rsplit('.', 1)[-1]} file")
    if has_mixed_scripts(process.path):
        yield signal("lookalike")
    if tool := attack_tool(name):
        yield signal("attack_tool", tool)
    elif tool := dual_use_tool(name):
        yield signal("dual_use_tool", tool)
