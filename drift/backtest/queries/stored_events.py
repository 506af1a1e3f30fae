"""Read what the stored events of a period refer to, for a backtest (docs/backtest.md#how-it-works).

Workloads, files, parents, provenances and pod names are each reduced to classes that the policies tell apart. An
event's key is a sum of numbers of its classes, and its decision is looked up by key (`event_counts`): events never
leave PostgreSQL. Only temporary tables are written.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from itertools import count, islice
from typing import Any, Final, TypeVar

import psycopg
from django.db import connection, transaction

from accounts.models import User
from drift.alerts.domain.event_table import partition_name
from drift.alerts.models import Binary, Provenance, Workload
from sensor.policy.flat_event import BINARY_ROWS, PROVENANCE_ROWS, WORKLOAD_ROWS
from sensor.policy.properties import EVENT_PROPERTIES

T = TypeVar("T")
BATCH: Final = 5_000
WORKLOADS: Final = 10_000
"""Sorted while PostgreSQL reads a chunk of events: some tenths of a second, and some ten megabytes."""
KEPT_BATCHES: Final = 4
"""So many batches of files are kept between two comparisons: some ten megabytes."""
CHUNK_BYTES: Final = 1_000_000_000
"""Bytes of the event table that one statement reads: about two million events, a few seconds."""
MEMORY: Final = "64MB"
"""`work_mem` of one sort or hash; the rest spills to disk."""
MAX_PATTERNS: Final = 50
"""With more values, matching every pod name here is faster than a LIKE ANY in PostgreSQL."""
CANCEL_SECONDS: Final = 0.1
"""How long a statement may take to end after it was cancelled, before it is cancelled again."""
A_DAY: Final = dt.timedelta(days=1)

Days = tuple[dt.date, dt.date]
"""The first and the last day, both included."""

PROPERTIES: Final = {"parent": "parent_process", "pod": "pod_name"}
"""The policy property that each table of values holds."""
if _missing := set(EVENT_PROPERTIES) - set(PROPERTIES.values()):
    # A backtest would ignore conditions on it, and so report decisions that no sensor takes.
    raise NotImplementedError(
        f"{_missing}: a property that differs from event to event needs classes of its own in the backtest: here, in "
        "drift/backtest/domain/event_keys.py, event_counts.py and in sensor/policy/policy_pair.py"
    )
_TABLES: Final = {
    "backtest_open": "workload_id bigint",
    "backtest_pod": "id text, number integer",
    "backtest_key": "key bigint",
    "backtest_decision": "key bigint, code integer",
    "backtest_found": "transition integer, fingerprint uuid, events bigint, execs bigint, last_at timestamptz, "
    "workload_id bigint, binary_id bigint, days bigint",
    "backtest_noise": "fingerprint uuid, workload_id bigint, binary_id bigint, provenance_id bigint, parent_name text, "
    "transition integer, days bigint, execs bigint, received_at timestamptz, lossy boolean, "
    "window_0 bigint, window_1 bigint, window_2 bigint, window_3 bigint",
}


@contextmanager
def snapshot() -> Iterator[None]:
    """Give the block one snapshot of the database, and temporary tables that are dropped afterwards.

    Inside a caller's transaction, its isolation level is left to the caller.
    """
    is_own = not connection.in_atomic_block
    with transaction.atomic():
        if is_own:
            # Ingest continues: facts about a workload's pods must hold for every event that is counted later.
            _execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        # These are a few long statements: compiling each would take longer than it saves.
        _execute(f"SET LOCAL jit = off; SET LOCAL work_mem = '{MEMORY}'")
        _drop()
        for name, columns in _TABLES.items():
            _execute(f"CREATE TEMPORARY TABLE {name} ({columns}) ON COMMIT DROP")
        yield
        _drop()


def empty() -> None:
    """Make room for another comparison on the same snapshot."""
    _execute("TRUNCATE backtest_open, backtest_pod, backtest_key, backtest_decision")


def chunks(days: Sequence[dt.date]) -> list[tuple[Days, int]]:
    """Group consecutive days into chunks of about CHUNK_BYTES; return each with its size in bytes."""
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
PodNames = tuple[str, str, int]
"""The least and greatest name of some pods, and the length in bytes of the longest."""


def add_pod_names(known: dict[int, PodNames], days: Days, beside: Callable[[], object]) -> None:
    """Widen `known`, by workload, to the pod names of these days."""
    for workload, *new in _executed(_POD_NAMES, days, beside, lambda cursor: list(cursor.fetchall())):
        old = known.get(workload, new)
        known[workload] = min(old[0], new[0]), max(old[1], new[1]), max(old[2], new[2])


_POD_NAMES: Final = """
    SELECT workload_id, min(pod_name COLLATE "C"), max(pod_name COLLATE "C"), max(octet_length(pod_name))
    FROM alerts_driftevent WHERE observed_on BETWEEN %s AND %s GROUP BY workload_id
"""


StoredWorkloads = list[tuple[int, dict[str, Any]]]
"""Workloads' ids, and their facts for the policy."""


def workloads(first_day: dt.date, viewer: User | None) -> Iterator[StoredWorkloads]:
    """Yield every workload that may have events since then, in batches.

    Only those that the viewer sees; None: all. Events of a workload that is not yielded are joined with nothing.
    """
    rows = Workload.objects.all() if viewer is None else Workload.objects.visible_to(viewer)
    # A day earlier: an event may be dated some minutes after it was received.
    seen = rows.filter(last_seen_on__gte=first_day - A_DAY)
    for batch in _batches(seen.values_list("pk", *WORKLOAD_ROWS.columns).iterator(chunk_size=BATCH), WORKLOADS):
        yield [(pk, WORKLOAD_ROWS.facts(values)) for pk, *values in batch]


StoredFile = tuple[int, dt.date, dict[str, str | None]]
"""A file's id, the day on which it was first seen, and its facts for the policy."""


def files(first_day: dt.date) -> Iterator[list[StoredFile]]:
    """Yield every file that may have events since then, in batches."""
    seen = Binary.objects.filter(last_seen_on__gte=first_day - A_DAY)
    columns = "pk", "first_seen_on", *BINARY_ROWS.columns
    for batch in _batches(seen.values_list(*columns).iterator(chunk_size=BATCH), BATCH):
        yield [(pk, day, BINARY_ROWS.facts(values)) for pk, day, *values in batch]


class RememberedFiles:
    """The files of a period, on one snapshot. Where they are few, they are read once and kept."""

    def __init__(self, first_day: dt.date) -> None:
        self._first_day = first_day
        self.kept: list[list[StoredFile]] | None = None

    def batches(self) -> Iterator[list[StoredFile]]:
        """Yield what `files` yields."""
        if self.kept is not None:
            yield from self.kept
            return
        kept: list[list[StoredFile]] = []
        are_few = True
        for batch in files(self._first_day):
            are_few = are_few and len(kept) < KEPT_BATCHES
            kept = [*kept, batch] if are_few else []
            yield batch
        self.kept = kept if are_few else None


def provenances(first_day: dt.date) -> Iterator[list[tuple[int, dict[str, str | None]]]]:
    """Yield every provenance that may have events since then, in batches: its id, and its facts for the policy."""
    seen = Provenance.objects.filter(last_seen_on__gte=first_day - A_DAY)
    for batch in _batches(seen.values_list("pk", *PROVENANCE_ROWS.columns).iterator(chunk_size=BATCH), BATCH):
        yield [(pk, PROVENANCE_ROWS.facts(values)) for pk, *values in batch]


def pod_names(days: Days, values: Iterable[tuple[str, str]]) -> Iterator[list[str]]:
    """Yield the pod names of undecided workloads that any of the values may match, in batches, some more than once."""
    # PostgreSQL's lower() agrees with our case folding on ASCII only: it filters those names and sends all others.
    patterns = [_like_pattern(*value) for value in values if value[1].isascii()]
    few = len(patterns) <= MAX_PATTERNS
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
    """Remove duplicates from the pods: a name may occur in several chunks of days."""
    _execute("CREATE TEMPORARY TABLE backtest_once ON COMMIT DROP AS SELECT DISTINCT id, number FROM backtest_pod")
    _execute("TRUNCATE backtest_pod; INSERT INTO backtest_pod SELECT * FROM backtest_once; DROP TABLE backtest_once")
    analyze("backtest_pod")


def copy_rows(table: str, records: Iterable[tuple[Any, ...]]) -> None:
    """Add rows of integers, strings and booleans to one of the temporary tables."""
    with connection.cursor() as cursor, cursor.copy(f"COPY {table} FROM STDIN") as copy:
        for record in records:
            copy.write_row(record)


def add_rows(table: str, query: str, values: Sequence[Any], beside: Callable[[], object]) -> None:
    """Add the rows of a grouped query to a temporary table: as one of its own, so that it may run in parallel."""
    part = next(_part_numbers)
    # PostgreSQL knows nothing of what is in an array, and would sort millions of rows rather than hash them.
    _execute("SET LOCAL enable_sort = off")
    _executed(f"CREATE TEMPORARY TABLE backtest_part_{part} ON COMMIT DROP AS {query}", values, beside, bool)
    _execute(f"ALTER TABLE backtest_part_{part} INHERIT {table}; SET LOCAL enable_sort = on")


_part_numbers = count()


def analyze(table: str) -> None:
    """Update the planner's statistics of one of the temporary tables: autovacuum never sees them."""
    _execute(f"ANALYZE {table}")


def _like_pattern(operator: str, value: str) -> str:
    """Return the LIKE pattern of one comparison."""
    quoted = "".join(f"\\{letter}" if letter in "\\%_" else letter for letter in value)
    if operator == "matches":
        return quoted.replace("*", "%").replace("?", "_")
    before = "%" if operator in ("contains", "ends_with") else ""
    after = "%" if operator in ("contains", "starts_with") else ""
    return f"{before}{quoted}{after}"


def _batches(rows: Iterator[Any], size: int) -> Iterator[list[Any]]:
    while batch := list(islice(rows, size)):
        yield batch


def _drop() -> None:
    # With their parts.
    _execute(f"DROP TABLE IF EXISTS {', '.join(_TABLES)}, backtest_alert CASCADE")


def _execute(statement: str, values: Sequence[Any] | None = None) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)


def _executed(statement: str, values: Sequence[Any], beside: Callable[[], object], read: Callable[[Any], T]) -> T:
    """Return what `read` reads of the cursor of a long statement, and call `beside` while PostgreSQL executes it.

    The transaction's connection, whose snapshot counts, is busy: `beside` makes no queries.
    """

    def run(cursor: Any) -> T:
        cursor.execute(statement, values)
        return read(cursor)

    with connection.cursor() as cursor, ThreadPoolExecutor(1, "backtest-statement") as thread:
        found = thread.submit(run, cursor)
        try:
            beside()
            return found.result()
        except BaseException:
            # Whoever stops the run does not wait for a statement of many seconds.
            _cancel(found)
            raise


def _cancel(statement: Future[Any]) -> None:
    """Cancel it until it has ended: one that was not sent yet cannot be cancelled, and a cancel may fail."""
    while not statement.done():
        with suppress(psycopg.Error):
            connection.connection.cancel_safe()
        wait([statement], CANCEL_SECONDS)
