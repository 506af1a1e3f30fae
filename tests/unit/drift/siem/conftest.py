"""An estate with alerts, and receivers for them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from drift.alerts.actions.ingest import ingest
from drift.siem.actions.destinations import add_destination
from drift.siem.models import SiemDestination
from tests.unit.drift.alerts.conftest import Estate, _fresh_memories, estate, event, sender
from tests.unit.drift.siem.receiver import Receiver

__all__ = ["_fresh_memories", "estate", "sender"]


def drift(estate: Estate, *names: str, sensor: int = 0, **changes: Any) -> None:
    """Let a sensor report a new file of each name: one alert each."""
    events = [event(process__path=f"/srv/{name}", process__name=name, **changes) for name in names]
    ingest(estate.sensors[sensor], [json.dumps(each).encode() for each in events])


@pytest.fixture(autouse=True)
def _allowed(settings: Any, tmp_path: Any) -> None:
    """Let alerts go to this machine, unencrypted, and into files."""
    settings.NOTIFY_ALLOW_HTTP = settings.NOTIFY_ALLOW_PRIVATE = True
    settings.SIEM_DIRECTORY = str(tmp_path)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


@pytest.fixture
def to(owner: Any) -> Callable[..., SiemDestination]:
    """Add a destination; a receiver's by default with syslog over TCP, else a file."""

    def add(receiver: Receiver | None = None, *, from_start: bool = False, **values: Any) -> SiemDestination:
        place: dict[str, Any] = {"transport": "file", "host": "", "port": None, "file_name": "alerts.jsonl"}
        if receiver:
            place = {"transport": "tcp", "host": "127.0.0.1", "port": receiver.port, "file_name": ""}
        row = {"name": "SIEM", "record_format": "json", "ca": "", "scope_group": None, **place, **values}
        return add_destination(owner, row, from_start=from_start)

    return add
