"""Events for tests."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Any

from sensor import wire

NOW = dt.datetime(2026, 11, 24, 8, 15, tzinfo=dt.UTC)


def make_event(number: int = 1, *, namespace: str | None = "shop", **process: Any) -> wire.Event:
    """An exec of /tmp/x in container app; `number` gives it its id and time."""
    at = NOW + dt.timedelta(milliseconds=number)
    return wire.Event(
        event_id=uuid.uuid5(wire.EVENT_NAMESPACE, f"test {number}"),
        mode="exec",
        observed_at=at,
        last_at=at,
        kind="new_file",
        process=wire.Process(**{"name": "x", "path": "/tmp/x", "argv": ["./x"], "sha256": "a" * 64, **process}),
        container=wire.Container(id="c" * 64, name="app", namespace=namespace, image_name="ghcr.io/team/app:1"),
    )
