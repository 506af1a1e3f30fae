"""What is stored already: a day's partition filled with events, and raw COPY of rows into it for comparison."""

from __future__ import annotations

import datetime as dt
import time

import psycopg
from psycopg import sql

from bench.ingest_portal import Portal
from drift.alerts.domain.event_table import EVENT_TABLE, partition_name

SAMPLE = 5_000
"""Stored events that the many are made from."""
INDEX_FULL = 70
"""Percent: as full as pages are that random keys have split; an index built at once would be packed."""
COPIES = """
INSERT INTO filled
SELECT %(day)s, one.sensor_id, gen_random_uuid(), one.mode, one.count, %(day)s + one.at, %(day)s + one.at,
       one.received_at, one.workload_id, one.binary_id, one.fingerprint, one.parent_name, one.pod_name,
       one.container_id, one.action, one.rule, one.reason, one.policy_number, one.outcome, one.outcome_reason,
       one.detail
FROM generate_series(1, %(size)s / {sample} + 1) AS round
CROSS JOIN LATERAL (SELECT *, random() * interval '24 hours' AS at, round FROM sampled) AS one
LIMIT %(size)s
"""


def fill(here: Portal, day: dt.date, size: int) -> None:
    """Make the day's partition one of `size` events: stored ones again, under new ids, spread over the day.

    The ids are of the very sensors that will send, so that a new one may fall anywhere among them.
    """
    with psycopg.connect(here.database_url) as connection:
        connection.execute("SET LOCAL maintenance_work_mem = '1GB'; SET LOCAL work_mem = '256MB'")
        connection.execute(f"CREATE TEMP TABLE sampled AS SELECT * FROM {EVENT_TABLE} LIMIT {SAMPLE}")
        name = sql.Identifier(partition_name(day))
        connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(name))
        connection.execute(f"CREATE TABLE filled (LIKE {EVENT_TABLE} INCLUDING DEFAULTS INCLUDING CONSTRAINTS)")
        connection.execute(COPIES.replace("{sample}", str(SAMPLE)), {"day": day, "size": size})
        key = f"ADD PRIMARY KEY (observed_on, sensor_id, event_id) WITH (fillfactor = {INDEX_FULL})"
        connection.execute(f"ALTER TABLE filled {key}")
        connection.execute(sql.SQL("ALTER TABLE filled RENAME TO {}").format(name))
        attach = "ALTER TABLE {} ATTACH PARTITION {} FOR VALUES FROM ({}) TO ({})"
        bounds = [sql.Literal(day), sql.Literal(day + dt.timedelta(days=1))]
        connection.execute(sql.SQL(attach).format(sql.Identifier(EVENT_TABLE), name, *bounds))
    with psycopg.connect(here.database_url, autocommit=True) as connection:
        connection.execute(sql.SQL("VACUUM (ANALYZE, FREEZE) {}").format(name))
        connection.execute("CHECKPOINT")


def empty(here: Portal, day: dt.date) -> None:
    """Delete the events of a day."""
    with psycopg.connect(here.database_url) as connection:
        connection.execute(sql.SQL("TRUNCATE {}").format(sql.Identifier(partition_name(day))))


def pages(here: Portal, day: dt.date) -> int:
    """How long the day's table is: rows that come now go after this page, but for a few."""
    with psycopg.connect(here.database_url) as connection:
        row = connection.execute("SELECT pg_relation_size(%s::regclass) / 8192", [partition_name(day)]).fetchone()
        return int(row[0]) if row else 0


def raw_copy(here: Portal, day: dt.date, after: int) -> float:
    """Rows a second of one text COPY of the rows after that page into the table they were taken from.

    They get new ids first: with the old ones they would not go in, and where the old rows had been deleted, each
    would meet its own dead entry in the index.
    """
    with psycopg.connect(here.database_url) as connection, connection.cursor() as cursor:
        taken = sql.SQL("CREATE TEMP TABLE same AS SELECT * FROM {} WHERE ctid >= {}::tid")
        cursor.execute(taken.format(sql.Identifier(partition_name(day)), sql.Literal(f"({after},0)")))
        cursor.execute("UPDATE same SET event_id = gen_random_uuid()")
        count = cursor.rowcount
        with cursor.copy("COPY same TO STDOUT") as copy:
            rows = b"".join(bytes(part) for part in copy)
        connection.commit()
        begun = time.perf_counter()
        with cursor.copy(f"COPY {EVENT_TABLE} FROM STDIN") as copy:
            copy.write(rows)
        connection.commit()
        return count / (time.perf_counter() - begun)
