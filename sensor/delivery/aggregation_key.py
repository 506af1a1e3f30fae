"""Which execs are counted together: those that the policy, and whoever reads the summary, cannot tell apart."""

from __future__ import annotations

import hashlib

import msgspec

from sensor.wire import Event, Process


def aggregation_key(event: Event) -> list[object]:
    """Return everything that a policy can look at and that an outcome depends on, without argv.

    Pod, parent and outcome are part of it so that a backtest on summaries is exact (docs/wire.md#summaries).
    """
    container, process = event.container, event.process
    return [
        container.namespace, container.owner, container.name, container.image_name, container.image_digest,
        container.pod_name, sorted(container.pod_labels.items()), event.kind, process.path, process.name,
        process.sha256, process.parent.name if process.parent else None,
        event.decision, event.outcome, event.outcome_reason, event.identity,
    ]  # fmt: skip


def drop_names(event: Event) -> None:
    """Leave of an event what it is, where and how it was decided: a flood of new file names must not fill the spool."""
    process = event.process
    event.process = Process(name="*", path="/*", argv_truncated=True, uid=process.uid, pid=process.pid)
    event.truncated = True


def key_digest(value: object) -> str:
    """Return 32 hex digits for any JSON value. Part of summary ids: a change breaks resends across an upgrade."""
    return hashlib.sha256(msgspec.json.encode(value)).hexdigest()[:32]
