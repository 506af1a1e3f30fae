"""Factories of events and enrolled sensors for tests."""

from __future__ import annotations

import datetime as dt
import uuid
from pathlib import Path
from typing import Any

import msgspec

from sensor import wire
from sensor.names.event_ids import EVENT_NAMESPACE
from sensor.operations.state_directory import SensorIdentity, StateDirectory
from tests.unit.sensor.fake_portal import CREDENTIAL, FakePortal

NOW = dt.datetime(2026, 11, 1, 8, 15, tzinfo=dt.UTC)


def make_event(number: int = 1, *, namespace: str | None = "shop", **process: Any) -> wire.Event:
    """Return an exec of /tmp/x in container app, with its id and time from `number`."""
    at = NOW + dt.timedelta(milliseconds=number)
    return wire.Event(
        event_id=uuid.uuid5(EVENT_NAMESPACE, f"test {number}"),
        mode="exec",
        observed_at=at,
        last_at=at,
        kind="new_file",
        process=wire.Process(**{"name": "x", "path": "/tmp/x", "argv": ["./x"], "sha256": "a" * 64, **process}),
        container=wire.Container(id="c" * 64, name="app", namespace=namespace, image_name="ghcr.io/team/app:1"),
    )


def copy(event: wire.Event) -> wire.Event:
    """Return an equal event, as a capture returns it a second time."""
    return msgspec.json.decode(msgspec.json.encode(event), type=wire.Event)


def enrolled(directory: Path, portal: FakePortal) -> StateDirectory:
    """Return the state directory of a sensor that is enrolled with `portal`."""
    kept = StateDirectory(directory)
    kept.save_identity(
        SensorIdentity(
            sensor_id=uuid.UUID(int=7),
            credential=CREDENTIAL,
            provider="azure",
            account="sub-1",
            cluster_name="prod",
            keys=[portal.key],
            api_url=portal.url,
            node="n1",
            cluster=wire.ClusterInfo("prod", "aks", "v1.31.2"),
        )
    )
    return kept
