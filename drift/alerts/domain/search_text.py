"""The string that searches of an alert match."""

from __future__ import annotations

from typing import Final

from drift.alerts.domain.enriched_events import BatchSource
from sensor import wire

MAX_COMMAND_LINE: Final = 1_024
"""Characters of a command line that are searched: an index entry for each trigram of all 4 KiB would cost more than
the alert."""
COMMAND_LINE: Final = "\n$ "
"""What the command line follows, which ends the string: retention deletes from here on."""


def search_text(source: BatchSource, event: wire.Event) -> str:
    """Return, in lower case, a line each for the file, its parent and writer, the workload, the node, and the command.

    Migration 0025 computes the same of alerts from before.
    """
    process, container = event.process, event.container
    writer, parent = process.written_by, process.parent
    parts = [
        process.path,
        process.sha256,
        container.image_name,
        container.image_digest,
        container.namespace,
        container.pod_name,
        container.name,
        container.id,
        container.owner.name if container.owner else None,
        source.cluster_name,
        source.account,
        source.node,
        *((parent.path, parent.name) if parent else ()),
        *((writer.path, writer.name) if writer else ()),
    ]
    command = " ".join(process.argv)[:MAX_COMMAND_LINE]
    return ("\n".join(filter(None, parts)) + (f"{COMMAND_LINE}{command}" if command else "")).lower()
