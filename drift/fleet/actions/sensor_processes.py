"""Which process speaks with a sensor's credential, so that two that take turns are noticed.

Each process chooses an id at random when it starts. One that ends never comes back, so a restart, a new pod
or another address changes the id once; only where two processes live does an id return. Heartbeats and
requests for tickets carry it.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec
from django.db import connection
from django.utils import timezone

HELD: Final = "driftwatch:runs"
TAKEN: Final = "driftwatch:runs:taken"
RETURNS: Final = 3
"""From so many returns on it is no late request of a process that was just replaced."""
EARLIER: Final = 7
"""Processes that are known again beside the last two: so nine that take turns are noticed."""
WITHIN: Final = dt.timedelta(hours=1)
"""Between two returns, at most; and how long it is said after the last."""


class ProcessSighting(msgspec.Struct):
    """A process was heard."""

    sensor_id: uuid.UUID
    run: str
    at: dt.datetime


def sighting_entry(sensor: uuid.UUID, run: str) -> tuple[str, bytes]:
    """The field and value under which this is held. One flush sees many processes of a sensor, but not endless ones."""
    return f"{sensor}:{run[:2]}", msgspec.json.encode(ProcessSighting(sensor, run, timezone.now()))


def write_sightings(rows: Iterable[bytes]) -> None:
    """Store what was heard, in the order of time; what is older than what is stored changes nothing."""
    for turn in _turns(
        sorted((msgspec.json.decode(raw, type=ProcessSighting) for raw in rows), key=lambda row: row.at)
    ):
        facts: dict[str, str | float] = {"turn": msgspec.json.encode(turn).decode(), "earlier": EARLIER}
        facts["within"] = WITHIN.total_seconds()
        with connection.cursor() as cursor:
            cursor.execute(_HEARD, facts)


def _turns(rows: list[ProcessSighting]) -> Iterator[list[ProcessSighting]]:
    """Lists in which each sensor is named once, since one UPDATE changes a row once."""
    while rows:
        turn: dict[uuid.UUID, ProcessSighting] = {}
        later = [row for row in rows if turn.setdefault(row.sensor_id, row) is not row]
        yield list(turn.values())
        rows = later


_HEARD = """
UPDATE fleet_sensorstatus AS stored SET
    run_id = heard.run, run_at = heard.at, previous_run = stored.run_id,
    earlier_runs = (array_prepend(stored.previous_run, array_remove(stored.earlier_runs, heard.run)))[:%(earlier)s],
    returns = CASE
        WHEN heard.run <> ALL (array_prepend(stored.previous_run, stored.earlier_runs)) THEN stored.returns
        WHEN stored.returned_at > heard.at - make_interval(secs => %(within)s) THEN least(stored.returns + 1, 1000)
        ELSE 1
    END,
    returned_at = CASE
        WHEN heard.run = ANY (array_prepend(stored.previous_run, stored.earlier_runs)) THEN heard.at
        ELSE stored.returned_at
    END
FROM jsonb_to_recordset(%(turn)s::jsonb) AS heard (sensor_id uuid, run text, at timestamptz)
WHERE stored.sensor_id = heard.sensor_id AND stored.run_id <> heard.run AND stored.run_at < heard.at
"""
