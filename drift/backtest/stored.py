"""The stored events of a period, brought down to what two policies tell apart, by SQL.

Workloads fall into classes that leave the same open; a day's events are grouped by class and by what that class
still asks for. What comes back is a few rows for most workloads, and never more than one batch at a time.
Everything lives in temporary tables of this connection.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any, Final, NamedTuple

from django.db import connection, transaction

from drift.alerts.models import Binary, Workload
from drift.backtest.verdicts import Judge, WorkloadClass, values_asked

BATCH: Final = 5_000
MOST_BINARIES: Final = 50_000
"""Files remembered at once; past that the memory starts afresh."""
OWN_DECISION: Final = "identity_incomplete"
"""The reason of what a sensor decides by itself (DESIGN §2): no policy would decide otherwise."""

_TABLES = """
    CREATE TEMPORARY TABLE backtest_class (
        workload_id bigint NOT NULL, class integer NOT NULL, file boolean NOT NULL, parent boolean NOT NULL,
        pod boolean NOT NULL);
    CREATE TEMPORARY TABLE backtest_key (
        class integer NOT NULL, file bigint NOT NULL, parent text NOT NULL, pod text NOT NULL,
        before smallint NOT NULL, after smallint NOT NULL, transition integer NOT NULL);
    CREATE TEMPORARY TABLE backtest_alert (
        fingerprint uuid NOT NULL, before smallint NOT NULL, after smallint NOT NULL, transition integer NOT NULL,
        execs_before bigint NOT NULL, execs_after bigint NOT NULL, last_seen timestamptz NOT NULL,
        workload_id bigint NOT NULL, binary_id bigint NOT NULL);
"""
# A parent that no rule asks for is as good as none, and falls into one group with it.
_KEY = """c.class AS class, CASE WHEN c.file THEN e.binary_id ELSE 0 END AS file,
    CASE WHEN c.parent AND e.parent_name = ANY(%s) THEN e.parent_name ELSE '' END AS parent,
    CASE WHEN c.pod THEN e.pod_name ELSE '' END AS pod"""
_EVENTS = """alerts_driftevent AS e JOIN backtest_class AS c ON c.workload_id = e.workload_id
    WHERE e.observed_on = %s AND e.observed_at < %s AND e.reason <> %s"""
_GROUPS = f"SELECT {_KEY}, count(*), sum(e.count) FROM {_EVENTS} GROUP BY 1, 2, 3, 4"  # noqa: S608 - constants
# An alert's events of one day, of those that either policy alerts on.
_ALERTS = f"""
    INSERT INTO backtest_alert
    SELECT e.fingerprint, max(k.before), max(k.after), max(k.transition),
        coalesce(sum(e.count) FILTER (WHERE k.before > 0), 0), coalesce(sum(e.count) FILTER (WHERE k.after > 0), 0),
        max(e.last_at), max(e.workload_id), max(e.binary_id)
    FROM (SELECT {_KEY}, e.* FROM {_EVENTS}) AS e
    JOIN backtest_key AS k ON k.class = e.class AND k.file = e.file AND k.parent = e.parent AND k.pod = e.pod
    GROUP BY e.fingerprint
"""  # noqa: S608 - constants


def parents_asked(*documents: Mapping[str, Any]) -> list[str]:
    """The parents that rules of these documents ask for, which they do by `equals` alone."""
    return sorted({text for _, text in values_asked("parent_process", *documents)})


class Group(NamedTuple):
    """Events of one day that both policies decide alike: 0 and "" for what the class does not ask for."""

    number: int
    file: int
    parent: str
    pod: str
    events: int
    execs: int


@contextmanager
def tables() -> Iterator[None]:
    """The temporary tables, gone afterwards."""
    _drop()
    _execute(_TABLES)
    try:
        yield
    finally:
        _drop()


def kinds_seen() -> frozenset[str]:
    """The kinds of drift of all files that are known."""
    return frozenset(Binary.objects.values_list("kind", flat=True).distinct())


def sort_workloads(judge: Judge, first_day: dt.date) -> list[WorkloadClass]:
    """Put every workload met since `first_day` into its class; returns the classes, by number."""
    numbers: dict[WorkloadClass, int] = {}
    rows = Workload.objects.filter(last_seen_on__gte=first_day).values_list(
        "id",
        "cluster__environment__provider",
        "cluster__environment__account",
        "cluster__name",
        "namespace",
        "container_name",
        "image_name",
        "image_digest",
        "pod_labels",
    )
    for batch in _batches(rows.iterator(chunk_size=BATCH)):
        records = []
        for row in batch:
            found = judge.class_of(_workload_facts(row))
            number = numbers.setdefault(found, len(numbers))
            records.append((row[0], number, found.file, found.parent, found.pod))
        _copy_in("backtest_class", records)
    _execute("ANALYZE backtest_class")
    return list(numbers)


def count_workloads() -> int:
    """How many workloads were sorted."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM backtest_class")
        (number,) = cursor.fetchone() or (0,)
        return int(number)


def groups(day: dt.date, until: dt.datetime, parents: list[str]) -> Iterator[list[Group]]:
    """One day's events, grouped; in batches. The caller may use the connection between batches."""
    with transaction.atomic(), connection.chunked_cursor() as cursor:
        cursor.execute(_GROUPS, [parents, day, until, OWN_DECISION])
        while rows := cursor.fetchmany(BATCH):
            yield [
                Group(number, file, parent, pod, events, int(execs))
                for number, file, parent, pod, events, execs in rows
            ]


def keep_alerting(groups_with_transitions: list[tuple[Group, int, tuple[int, int]]]) -> None:
    """Remember which groups make alerts: (group, transition number, levels)."""
    _copy_in(
        "backtest_key",
        [(*group[:4], *levels, number) for group, number, levels in groups_with_transitions],
    )


def add_alerts(day: dt.date, until: dt.datetime, parents: list[str]) -> None:
    """Gather the day's alerting events by fingerprint, and forget the day's groups."""
    _execute("ANALYZE backtest_key")
    _execute(_ALERTS, [parents, day, until, OWN_DECISION])
    _execute("TRUNCATE backtest_key")


class Files:
    """Facts of files by id, loaded a batch at a time and remembered within bounds."""

    def __init__(self) -> None:
        self._known: dict[int, dict[str, str | None]] = {0: dict.fromkeys(_FILE_FACTS)}

    def load(self, ids: set[int]) -> None:
        """Make sure that these are known."""
        missing = ids - self._known.keys()
        if not missing:
            return
        if len(self._known) + len(missing) > MOST_BINARIES:
            self._known = {0: dict.fromkeys(_FILE_FACTS)}
            missing = ids - {0}
        rows = Binary.objects.filter(pk__in=missing).values_list("pk", "name", "path", "sha256", "kind")
        for pk, *facts in rows.iterator(chunk_size=BATCH):
            self._known[pk] = {name: value or None for name, value in zip(_FILE_FACTS, facts, strict=True)}

    def facts(self, group: Group) -> dict[str, str | None]:
        """What a policy looks at in the group's events, apart from the workload."""
        file = self._known.get(group.file, self._known[0])
        return file | {"parent_process": group.parent or None, "pod_name": group.pod or None}


_FILE_FACTS: Final = ("process_name", "process_path", "process_sha256", "drift_kind")


def _workload_facts(row: tuple[Any, ...]) -> dict[str, Any]:
    """A workload as it is flattened to the evaluator (WIRE): an empty text is not known."""
    _, provider, account, cluster, namespace, container, image, digest, labels = row
    return {
        "provider": provider,
        "account": account,
        "cluster_name": cluster or None,
        "namespace": namespace or None,
        "container_name": container or None,
        "image_name": (f"{image}@{digest}" if digest else image) or None,
        "pod_labels": labels,
    }


def _batches(rows: Iterator[Any]) -> Iterator[list[Any]]:
    while batch := list(islice(rows, BATCH)):
        yield batch


def _copy_in(table: str, records: Sequence[tuple[Any, ...]]) -> None:
    with connection.cursor() as cursor, cursor.copy(f"COPY {table} FROM STDIN") as copy:
        for record in records:
            copy.write_row(record)


def _drop() -> None:
    _execute("DROP TABLE IF EXISTS backtest_class, backtest_key, backtest_alert, backtest_found")


def _execute(statement: str, values: list[Any] | None = None) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
