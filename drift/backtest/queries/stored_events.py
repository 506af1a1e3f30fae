"""The stored events of a period, counted by what two policies make of them, in SQL.

What an event refers to (workload, file) and what it adds (parent, pod name) is brought down to classes that the
policies tell apart. A class is a number in a temporary table, an event's key is a sum of them, and a decision is
looked up by its key: the events themselves never leave PostgreSQL.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any, Final

from django.db import connection, transaction

from drift.alerts.actions.partitions import partition_name
from drift.alerts.models import Binary, Workload
from sensor.policy.flat_event import BINARY_ROWS, WORKLOAD_ROWS

BATCH: Final = 5_000
CHUNK_BYTES: Final = 1_000_000_000
"""About so much of the event table is read by one statement: two million events, some seconds."""
MEMORY: Final = "64MB"
"""For one sort or hash; what does not fit goes to disk."""
MOST_PATTERNS: Final = 50
"""Values that PostgreSQL may look for in pod names, before it is cheaper to look at each name here."""
OWN_DECISION: Final = "identity_incomplete"
"""The reason of what a sensor decides by itself (DESIGN §2): no policy would decide otherwise."""
A_DAY: Final = dt.timedelta(days=1)

Days = tuple[dt.date, dt.date]
"""The first and the last day."""

PROPERTIES: Final = {"parent": "parent_process", "pod": "pod_name"}
"""The property that each table of values is about."""
_TABLES: Final = {
    "backtest_workload": "id bigint, base bigint, file bigint, parent bigint, pod bigint",
    "backtest_file": "id bigint, number bigint",
    "backtest_open": "workload_id bigint",
    "backtest_parent": "name text, number bigint",
    "backtest_pod": "name text, number bigint",
    "backtest_key": "key bigint",
    "backtest_decision": "key bigint, transition integer, alerts boolean",
    "backtest_found": "transition integer, fingerprint uuid, events bigint, execs bigint, last_at timestamptz, "
    "workload_id bigint, binary_id bigint",
}


@contextmanager
def snapshot() -> Iterator[None]:
    """One state of the database for all that follows, and the temporary tables for it, gone afterwards.

    Events go on coming: what was learnt of a workload's pods must hold for all of its events that are counted.
    Within a caller's transaction, its isolation is the caller's business.
    """
    is_own = not connection.in_atomic_block
    with transaction.atomic():
        if is_own:
            _execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        # One long statement after the other: compiling them, or small memory, would cost more than it spares.
        _execute(f"SET LOCAL jit = off; SET LOCAL work_mem = '{MEMORY}'")
        _drop()
        for name, columns in _TABLES.items():
            _execute(f"CREATE TEMPORARY TABLE {name} ({columns}) ON COMMIT DROP")
        yield
        _drop()


def chunks(days: Sequence[dt.date]) -> list[tuple[Days, int]]:
    """The days in stretches of about CHUNK_BYTES, each with its size in bytes."""
    with connection.cursor() as cursor:
        names = [partition_name(day) for day in days]
        cursor.execute(_SIZES, [names])
        sizes = [int(size) for (size,) in cursor.fetchall()]
    found: list[tuple[Days, int]] = []
    for day, size in zip(days, sizes, strict=True):
        if found and found[-1][1] + size <= CHUNK_BYTES:
            (first, _), before = found.pop()
            found.append(((first, day), before + size))
        else:
            found.append(((day, day), size))
    return found


_SIZES: Final = """
    SELECT coalesce(pg_relation_size(to_regclass(name)), 0)
    FROM unnest(%s::text[]) WITH ORDINALITY AS partition (name, place) ORDER BY place
"""
PodNames = tuple[str, str, int, bool]
"""The least and the greatest name of some pods, the length in bytes of the longest, and whether all are in ASCII."""


def add_pod_names(known: dict[int, PodNames], days: Days) -> None:
    """Learn what the names of each workload's pods lie between."""
    with connection.cursor() as cursor:
        cursor.execute(_POD_NAMES, days)
        for workload, *new in cursor.fetchall():
            old = known.get(workload, new)
            known[workload] = min(old[0], new[0]), max(old[1], new[1]), max(old[2], new[2]), old[3] and new[3]


_POD_NAMES: Final = """
    SELECT workload_id, min(pod_name COLLATE "C"), max(pod_name COLLATE "C"), max(octet_length(pod_name)),
        bool_and(octet_length(pod_name) = length(pod_name))
    FROM alerts_driftevent WHERE observed_on BETWEEN %s AND %s GROUP BY workload_id
"""


def workloads(first_day: dt.date) -> Iterator[list[tuple[int, dict[str, Any]]]]:
    """Every workload that may have events since then: its id, and what a policy looks at; in batches.

    A day more, for an event may be dated some minutes after it was received.
    """
    seen = Workload.objects.filter(last_seen_on__gte=first_day - A_DAY)
    for batch in _batches(seen.values_list("pk", *WORKLOAD_ROWS.columns).iterator(chunk_size=BATCH)):
        yield [(pk, WORKLOAD_ROWS.facts(values)) for pk, *values in batch]


def files(first_day: dt.date) -> Iterator[list[tuple[int, dict[str, str | None]]]]:
    """Yield every file that may have events since then: its id, and what a policy looks at; in batches."""
    seen = Binary.objects.filter(last_seen_on__gte=first_day - A_DAY)
    for batch in _batches(seen.values_list("pk", *BINARY_ROWS.columns).iterator(chunk_size=BATCH)):
        yield [(pk, BINARY_ROWS.facts(values)) for pk, *values in batch]


def pod_names(days: Days, values: Iterable[tuple[str, str]]) -> Iterator[list[str]]:
    """The names of the open workloads' pods for which any of the values may hold; in batches, some more than once.

    A name in ASCII folds to its small letters, which PostgreSQL can do too: so it need not send those that hold
    for nothing. Any other name is sent.
    """
    patterns = [_pattern(*value) for value in values if value[1].isascii()]
    few = len(patterns) <= MOST_PATTERNS
    statement = _PODS + (_PODS_LIKE if few else "")
    with transaction.atomic(), connection.chunked_cursor() as cursor:
        cursor.execute(statement, [*days, patterns] if few else [*days])
        while rows := cursor.fetchmany(BATCH):
            yield [name for (name,) in rows]


_PODS: Final = """
    SELECT DISTINCT e.pod_name FROM alerts_driftevent AS e JOIN backtest_open AS w USING (workload_id)
    WHERE e.observed_on BETWEEN %s AND %s AND e.pod_name <> ''
"""
_PODS_LIKE: Final = """ AND (lower(e.pod_name COLLATE "C") LIKE ANY(%s::text[])
    OR octet_length(e.pod_name) <> length(e.pod_name))"""


def merge_pods() -> None:
    """Keep each pod once: a name may turn up in several stretches of days."""
    _execute("CREATE TEMPORARY TABLE backtest_once ON COMMIT DROP AS SELECT DISTINCT name, number FROM backtest_pod")
    _execute("TRUNCATE backtest_pod; INSERT INTO backtest_pod SELECT * FROM backtest_once; DROP TABLE backtest_once")
    analyse("backtest_pod")


class EventCounter:
    """The statements that go over the events; only what is asked for is joined."""

    def __init__(self, until: dt.datetime, *, parents: bool, pods: bool) -> None:
        key = "w.base + w.file * f.number"
        source = "alerts_driftevent AS e JOIN backtest_workload AS w ON w.id = e.workload_id"
        source += " JOIN backtest_file AS f ON f.id = e.binary_id"
        for name, column, is_asked in (("parent", "parent_name", parents), ("pod", "pod_name", pods)):
            if is_asked:
                key += f" + w.{name} * coalesce({name}.number, 0)"
                source += f" LEFT JOIN backtest_{name} AS {name} ON {name}.name = e.{column}"
        where = "WHERE e.observed_on BETWEEN %s AND %s AND e.observed_at < %s AND e.reason <> %s"
        self._until = until
        self._keys = f"INSERT INTO backtest_key SELECT DISTINCT {key} FROM {source} {where}"  # noqa: S608 - constants
        self._found = f"""
            INSERT INTO backtest_found
            SELECT d.transition, CASE WHEN d.alerts THEN e.fingerprint END, count(*), sum(e.count)::bigint,
                max(e.last_at), max(e.workload_id), max(e.binary_id)
            FROM {source} JOIN backtest_decision AS d ON d.key = {key} {where} GROUP BY 1, 2
        """  # noqa: S608 - constants

    def add_keys(self, days: Days) -> None:
        """Find out which keys occur."""
        _execute(self._keys, [*days, self._until, OWN_DECISION])

    def add_found(self, days: Days) -> None:
        """Count by transition, and those that alert by fingerprint too."""
        _execute(self._found, [*days, self._until, OWN_DECISION])


def keys_met() -> Iterator[list[int]]:
    """The keys that occur, in batches."""
    with transaction.atomic(), connection.chunked_cursor() as cursor:
        cursor.execute("SELECT DISTINCT key FROM backtest_key")
        while rows := cursor.fetchmany(BATCH):
            yield [key for (key,) in rows]


def copy_in(table: str, records: Iterable[tuple[Any, ...]]) -> None:
    """Add rows of numbers, texts and truth values to one of the temporary tables."""
    with connection.cursor() as cursor, cursor.copy(f"COPY {table} FROM STDIN") as copy:
        for record in records:
            copy.write_row(record)


def analyse(table: str) -> None:
    """Tell the planner how large one of the temporary tables has become."""
    _execute(f"ANALYZE {table}")


def _pattern(operator: str, text: str) -> str:
    """As LIKE understands it."""
    quoted = "".join(f"\\{letter}" if letter in "\\%_" else letter for letter in text)
    before = "%" if operator in ("contains", "ends_with") else ""
    after = "%" if operator in ("contains", "starts_with") else ""
    return f"{before}{quoted}{after}"


def _batches(rows: Iterator[Any]) -> Iterator[list[Any]]:
    while batch := list(islice(rows, BATCH)):
        yield batch


def _drop() -> None:
    _execute(f"DROP TABLE IF EXISTS {', '.join(_TABLES)}, backtest_alert")


def _execute(statement: str, values: Sequence[Any] | None = None) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
