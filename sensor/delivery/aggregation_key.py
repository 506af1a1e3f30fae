"""The key by which execs are counted together: equal for the policy and for a reader of the summary."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, Final

import msgspec

from sensor.policy.flat_event import attribute_expression
from sensor.policy.properties import TABLE
from sensor.wire import Event, Process


def _compile_aggregation_key() -> Callable[[Event], list[object]]:
    """Return the function, compiled from source text as `flatten` is: it reads every event that is counted."""
    items = []
    # Every property that a policy can look at, so that one added to the table is in the key. What the credential
    # holds is the same for all events of a sensor, and the owner follows from what is in the key anyway.
    for each in TABLE:
        paths = [path for path in each.event if not path.startswith(("credential.", "owner."))]
        form = "sorted({}.items())" if each.form == "labels" else "{}"
        items += [form.format(attribute_expression(path)) for path in paths]
    outcome = "container.owner, event.decision, event.outcome, event.outcome_reason, event.identity"
    source = f"""def aggregation_key(event):
        container, process = event.container, event.process
        return [{", ".join(items)}, {outcome}]"""
    namespace: dict[str, Any] = {}
    exec(source, namespace)  # noqa: S102 - made of the table alone
    key: Callable[[Event], list[object]] = namespace["aggregation_key"]
    return key


aggregation_key: Final = _compile_aggregation_key()
"""Return everything that a policy can look at and that an outcome depends on, without argv.

Pod, parent and outcome are part of it so that a backtest on summaries is exact (docs/wire.md#summaries).
"""


def drop_names(event: Event) -> None:
    """Reduce an event to its kind, container and decision: a flood of new file names must not fill the spool."""
    process = event.process
    event.process = Process(name="*", path="/*", argv_truncated=True, uid=process.uid, pid=process.pid)
    event.truncated = True


def key_digest(value: object) -> str:
    """Return 32 hex digits for any JSON value. Part of summary ids: the same count must keep its id when resent."""
    return hashlib.sha256(msgspec.json.encode(value)).hexdigest()[:32]
