"""The key by which execs are counted together: equal for the policy and for a reader of the summary."""

from __future__ import annotations

import hashlib
from operator import attrgetter
from typing import Final

import msgspec

from sensor.policy.properties import TABLE
from sensor.wire import Event, Process

# Every property that a policy can look at, by its path in an event; a property added to the table is in the key. What
# the credential holds is the same for all events of a sensor.
_PATHS: Final = [
    path.removeprefix("event.") for each in TABLE for path in each.event if not path.startswith("credential.")
]
_LABELS: Final = [path for each in TABLE if each.form == "labels" for path in each.event]
_values: Final = attrgetter(*[path for path in _PATHS if "?" not in path and path not in _LABELS])
_labels: Final = [attrgetter(path) for path in _LABELS]
_optional: Final = [
    (attrgetter(path.split("?.")[0]), attrgetter(path.split("?.")[1])) for path in _PATHS if "?" in path
]


def aggregation_key(event: Event) -> list[object]:
    """Return everything that a policy can look at and that an outcome depends on, without argv.

    Pod, parent and outcome are part of it so that a backtest on summaries is exact (docs/wire.md#summaries).
    """
    key: list[object] = list(_values(event))
    for owner, value in _optional:
        found = owner(event)
        key.append(None if found is None else value(found))
    key += [sorted(labels(event).items()) for labels in _labels]
    key += [event.container.owner, event.decision, event.outcome, event.outcome_reason, event.identity]
    return key


def drop_names(event: Event) -> None:
    """Reduce an event to its kind, container and decision: a flood of new file names must not fill the spool."""
    process = event.process
    event.process = Process(name="*", path="/*", argv_truncated=True, uid=process.uid, pid=process.pid)
    event.truncated = True


def key_digest(value: object) -> str:
    """Return 32 hex digits for any JSON value. Part of summary ids: the same count must keep its id when resent."""
    return hashlib.sha256(msgspec.json.encode(value)).hexdigest()[:32]
