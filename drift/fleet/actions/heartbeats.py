"""Heartbeats, held in Redis and written in bulk by `fleet.flush_heartbeats`.

A fleet of 100,000 sensors sends 1,700 heartbeats a second: one write each would slow down every reader of the fleet.
Without Redis, or if no flush ran for a minute, a heartbeat is written at once.
"""

from __future__ import annotations

import datetime as dt
import logging
import time
import uuid
from collections.abc import Callable, Sequence
from typing import Final, cast

import msgspec
import redis
from django.conf import settings
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from drift import queue
from drift.fleet.actions import sensor_processes
from drift.fleet.models import Sensor, SensorLoss
from sensor import wire
from sensor.wire import json_bytes

logger = logging.getLogger(__name__)

HELD: Final = "driftwatch:heartbeats"
TAKEN: Final = "driftwatch:heartbeats:taken"
FLUSHED: Final = "driftwatch:heartbeats:flushed"
FLUSHED_FOR: Final = 60
"""Seconds after a flush in which the next one is relied on."""
AVOID_FOR: Final = 30.0
"""Seconds without Redis after it failed: a web thread must not wait for its timeout each time."""
BATCH: Final = 1_000
OF_ROWS: Final = ("21", "22", "23", "54")
"""Classes of SQLSTATE with which PostgreSQL rejects what rows say: one row twice, values, constraints, nesting."""
MAX_LOST_TOTAL: Final = 2**63 - 1
"""The greatest value of the column; a sensor may report more."""
_avoid_until = 0.0


class StatusRow(msgspec.Struct):
    """One row of SensorStatus, as it is held in Redis."""

    sensor_id: uuid.UUID
    last_seen_at: dt.datetime
    sensor_version: str
    kubernetes_version: str
    backend: str
    capabilities: list[str]
    counters: wire.Counters
    lost_total: int
    key_ids: list[str] | None
    gaps: list[wire.MonitoringGap]
    gap_count: int
    machine_digest: str = ""
    boot_digest: str = ""
    paused_rules: list[wire.PausedRule] = []
    clock_offset: float | None = None


class _Seen(msgspec.Struct):
    """Of a held row, when the heartbeat arrived: any release held it."""

    last_seen_at: dt.datetime


def store_heartbeat(sensor: Sensor, beat: wire.Heartbeat) -> None:
    """Store a heartbeat and its process: by the next flush, or at once."""
    now = timezone.now()
    row = StatusRow(
        sensor.pk,
        now,
        beat.sensor_version,
        beat.kubernetes_version or "",
        beat.backend,
        beat.capabilities,
        beat.counters,
        min(MAX_LOST_TOTAL, sum(beat.counters.lost.values())),
        beat.keys,
        beat.gaps,
        beat.gap_count,
        beat.machine_digest,
        beat.boot_digest,
        beat.paused_rules,
        (beat.sent_at - now).total_seconds() if beat.sent_at else None,
    )
    status = str(row.sensor_id), msgspec.json.encode(row)
    sighting = sensor_processes.sighting_entry(sensor.pk, beat.run_id)
    if not _hold({HELD: status, sensor_processes.HELD: sighting}):
        _write([status[1]])
        sensor_processes.write_sightings([sighting[1]])


def store_process(sensor: Sensor, run_id: str) -> None:
    """Store that this process of the sensor was seen: by the next flush, or at once."""
    sighting = sensor_processes.sighting_entry(sensor.pk, run_id)
    if not _hold({sensor_processes.HELD: sighting}):
        sensor_processes.write_sightings([sighting[1]])


def held_since(sensor: Sensor) -> dt.datetime | None:
    """Return the time of a heartbeat that is held and not written yet; None where there is none, or no Redis."""
    client = queue.redis_client()
    try:
        rows = [client.hget(key, str(sensor.pk)) for key in (HELD, TAKEN)]
    except redis.RedisError as error:
        logger.warning("held heartbeats cannot be read; without Redis they are written at once: %s", error)
        return None
    try:
        times = [json_bytes.decode(cast("bytes", row), _Seen).last_seen_at for row in rows if row is not None]
    except msgspec.DecodeError:
        return None  # The next flush leaves it out.
    return max(times, default=None)


def flush_heartbeats() -> int:
    """Write everything that is held; return the number of heartbeats."""
    client = queue.redis_client()
    try:
        beats = _flush(client, HELD, TAKEN, _write)
        _flush(client, sensor_processes.HELD, sensor_processes.TAKEN, sensor_processes.write_sightings)
        client.set(FLUSHED, 1, ex=FLUSHED_FOR)
    except redis.ResponseError:
        return 0  # Another flush took the hash between two of our calls.
    except redis.RedisError as error:
        logger.warning("heartbeats cannot be flushed and are written one by one: %s", error)
        return 0
    return beats


def _flush(client: redis.Redis, held: str, taken: str, write: Callable[[Sequence[bytes]], None]) -> int:
    """Write the values of one hash, a batch at a time; return how many."""
    if client.exists(held):
        # NX: what a flush that died had already taken stays, and is written now.
        client.renamenx(held, taken)
    rows = [cast("bytes", raw) for raw in client.hgetall(taken).values()]
    for start in range(0, len(rows), BATCH):
        # Two flushes at once may write the same rows: a row never goes back to an older heartbeat.
        _write_valid(rows[start : start + BATCH], write)
    client.delete(taken)
    return len(rows)


def _hold(entries: dict[str, tuple[str, bytes]]) -> bool:
    """Hold a field and its value under each key; return whether a flush can be relied on."""
    global _avoid_until  # noqa: PLW0603 - the state of this process
    if time.monotonic() < _avoid_until:
        return False
    pipeline = queue.redis_client().pipeline(transaction=False)
    for key, (name, raw) in entries.items():
        pipeline.hset(key, name, raw)
    pipeline.exists(FLUSHED)
    try:
        return bool(pipeline.execute()[-1])
    except redis.RedisError as error:
        logger.warning("heartbeats are written one by one: %s", error)
        _avoid_until = time.monotonic() + AVOID_FOR
        return False


def _write_valid(rows: Sequence[bytes], write: Callable[[Sequence[bytes]], None]) -> None:
    """Write all rows but those that cannot be read or stored: one of them must not hold up all others for ever."""
    try:
        with transaction.atomic():
            write(rows)
    except (DatabaseError, msgspec.DecodeError) as error:
        if isinstance(error, DatabaseError) and not _is_of_rows(error):
            raise
        if len(rows) == 1:
            logger.warning("what a sensor reported cannot be written: %s", error)
            return
        middle = len(rows) // 2
        _write_valid(rows[:middle], write)
        _write_valid(rows[middle:], write)


def _is_of_rows(error: DatabaseError) -> bool:
    """Return whether fewer rows may be stored: not where the database is away, or not migrated yet."""
    return (getattr(error.__cause__, "sqlstate", None) or "").startswith(OF_ROWS)


def _write(rows: Sequence[bytes]) -> None:
    beats = b"[%s]" % b",".join(rows)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_RECORD_LOSSES, [beats])
        cursor.execute(_UPSERT, [beats])


def delete_old_losses() -> None:
    """Delete losses of before the oldest stored event."""
    SensorLoss.objects.filter(until__lt=timezone.now() - dt.timedelta(days=settings.EVENT_RETENTION_DAYS + 1)).delete()


# Before the status of the heartbeat before is overwritten. A process starts at 0: what it counts below that of the one
# before is all its own. Two flushes of one heartbeat may add it twice; the period is the same.
_RECORD_LOSSES: Final = """
INSERT INTO fleet_sensorloss AS known (sensor_id, hour, since, until, lost)
SELECT beat.sensor_id, date_trunc('hour', beat.last_seen_at, 'UTC'),
    least(coalesce(stored.last_seen_at, sensor.enrolled_at), beat.last_seen_at), beat.last_seen_at,
    CASE WHEN beat.lost_total > coalesce(stored.lost_total, 0)
        THEN beat.lost_total - coalesce(stored.lost_total, 0) ELSE beat.lost_total END
FROM jsonb_to_recordset(convert_from(%s, 'UTF8')::jsonb) AS beat (
    sensor_id uuid, last_seen_at timestamptz, lost_total bigint
)
JOIN fleet_sensor AS sensor ON sensor.id = beat.sensor_id
LEFT JOIN fleet_sensorstatus AS stored ON stored.sensor_id = beat.sensor_id
WHERE beat.lost_total > 0 AND beat.lost_total <> coalesce(stored.lost_total, 0)
    AND (stored.last_seen_at IS NULL OR stored.last_seen_at < beat.last_seen_at
        OR stored.last_seen_at > now() + interval '1 minute')
ORDER BY beat.sensor_id
ON CONFLICT (sensor_id, hour) DO UPDATE SET
    since = least(known.since, excluded.since), until = greatest(known.until, excluded.until),
    lost = least(known.lost::numeric + excluded.lost, 9223372036854775807)::bigint
"""


# A heartbeat from the future is from before the clock was set back: the next one takes its place, whatever its time.
# In the order of ids, so that two of these cannot deadlock. A portal of the release before may have held heartbeats
# without gaps, digests, paused rules or the clock.
_UPSERT: Final = """
INSERT INTO fleet_sensorstatus AS stored (
    sensor_id, last_seen_at, sensor_version, kubernetes_version, backend, capabilities, counters, lost_total, key_ids,
    gaps, gap_count, machine_digest, boot_digest, paused_rules, clock_offset
)
SELECT
    beat.sensor_id, beat.last_seen_at, beat.sensor_version, beat.kubernetes_version, beat.backend, beat.capabilities,
    beat.counters, beat.lost_total, beat.key_ids, coalesce(beat.gaps, '[]'), coalesce(beat.gap_count, 0),
    coalesce(beat.machine_digest, ''), coalesce(beat.boot_digest, ''), coalesce(beat.paused_rules, '[]'),
    beat.clock_offset
FROM jsonb_to_recordset(convert_from(%s, 'UTF8')::jsonb) AS beat (
    sensor_id uuid, last_seen_at timestamptz, sensor_version text, kubernetes_version text, backend text,
    capabilities text[], counters jsonb, lost_total bigint, key_ids text[],
    gaps jsonb, gap_count bigint, machine_digest text, boot_digest text, paused_rules jsonb,
    clock_offset float8
)
JOIN fleet_sensor AS sensor ON sensor.id = beat.sensor_id
ORDER BY beat.sensor_id
ON CONFLICT (sensor_id) DO UPDATE SET
    last_seen_at = excluded.last_seen_at, sensor_version = excluded.sensor_version,
    kubernetes_version = excluded.kubernetes_version, backend = excluded.backend,
    capabilities = excluded.capabilities, counters = excluded.counters, lost_total = excluded.lost_total,
    key_ids = excluded.key_ids, gaps = excluded.gaps, gap_count = excluded.gap_count,
    machine_digest = excluded.machine_digest, boot_digest = excluded.boot_digest,
    paused_rules = excluded.paused_rules, clock_offset = excluded.clock_offset,
    lost_at = CASE WHEN excluded.lost_total > stored.lost_total THEN excluded.last_seen_at ELSE stored.lost_at END
WHERE stored.last_seen_at < excluded.last_seen_at OR stored.last_seen_at > now() + interval '1 minute'
"""
