"""Which sensor processes use a credential, so that several on one credential are noticed.

Each process chooses a random run id when it starts, and sends it with heartbeats and ticket requests. A process that
ends never returns, so a restart, a new pod or another address changes the id once; only where several processes live
does an id return (docs/delivery.md#shared-credentials).
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec
from django.db import connection
from django.utils import timezone

from drift.fleet.domain.sensor_health import SHARED_WITHIN
from sensor.wire import json_bytes

HELD: Final = "driftwatch:runs"
TAKEN: Final = "driftwatch:runs:taken"
EARLIER_RUNS: Final = 7
"""Older processes that are remembered beside the last two: so up to nine that alternate are noticed."""


class ProcessSighting(msgspec.Struct):
    """A request of one sensor process."""

    sensor_id: uuid.UUID
    run: str
    at: dt.datetime


def sighting_entry(sensor: uuid.UUID, run: str) -> tuple[str, bytes]:
    """Return the hash field and value under which a sighting is held until the next flush."""
    # Two letters of the id: many processes of a sensor between two flushes, but a bounded number of fields.
    return f"{sensor}:{run[:2]}", msgspec.json.encode(ProcessSighting(sensor, run, timezone.now()))


def write_sightings(rows: Iterable[bytes]) -> None:
    """Write sightings in the order of time; those older than what is stored change nothing. Raises DecodeError."""
    sightings = sorted((json_bytes.decode(raw, ProcessSighting) for raw in rows), key=lambda row: row.at)
    for batch in _batches(sightings):
        facts: dict[str, str | float] = {"batch": msgspec.json.encode(batch).decode(), "earlier": EARLIER_RUNS}
        facts["within"] = SHARED_WITHIN.total_seconds()
        with connection.cursor() as cursor:
            cursor.execute(_UPDATE, facts)


def _batches(rows: list[ProcessSighting]) -> Iterator[list[ProcessSighting]]:
    """Lists that name each sensor once, since one UPDATE changes a row once."""
    while rows:
        batch: dict[uuid.UUID, ProcessSighting] = {}
        later = [row for row in rows if batch.setdefault(row.sensor_id, row) is not row]
        yield list(batch.values())
        rows = later


_UPDATE: Final = """
UPDATE fleet_sensorstatus AS stored SET
    run_id = seen.run, run_at = seen.at, previous_run = stored.run_id,
    earlier_runs = (array_prepend(stored.previous_run, array_remove(stored.earlier_runs, seen.run)))[:%(earlier)s],
    returns = CASE
        WHEN seen.run <> ALL (array_prepend(stored.previous_run, stored.earlier_runs)) THEN stored.returns
        WHEN stored.returned_at > seen.at - make_interval(secs => %(within)s) THEN least(stored.returns + 1, 1000)
        ELSE 1
    END,
    returned_at = CASE
        WHEN seen.run = ANY (array_prepend(stored.previous_run, stored.earlier_runs)) THEN seen.at
        ELSE stored.returned_at
    END
FROM jsonb_to_recordset(%(batch)s::jsonb) AS seen (sensor_id uuid, run text, at timestamptz)
WHERE stored.sensor_id = seen.sensor_id AND stored.run_id <> seen.run AND stored.run_at < seen.at
"""
