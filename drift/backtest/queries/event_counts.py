"""The statements that scan the events of a backtest and give each its decision.

PostgreSQL scans with several processes only where a query neither reads temporary tables nor inserts. So the classes
are arrays in the statement itself, as far as possible, and what is found becomes a table of its own.
"""

from __future__ import annotations

import datetime as dt
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from django.db import connection, transaction

from drift.alerts.queries.compiled_policies import UNIDENTIFIED
from drift.backtest.domain.event_keys import Placing
from drift.backtest.queries import stored_events as stored
from drift.fleet.models import Sensor

PART_COLUMNS: Final = {"file": "binary_id", "parent": "parent_name", "provenance": "provenance_id", "pod": "pod_name"}
"""The event's column for each part, in the order of `Placing`."""
SUM_OF_COUNTS: Final = """(coalesce(sum(count::int) FILTER (WHERE count < 2147483648), 0)
    + coalesce(sum(count) FILTER (WHERE count >= 2147483648), 0)::bigint)"""
"""The sum of e.count, a bigint: PostgreSQL adds bigints as numerics, which it packs to send them to another process."""
_DAYS: Final = "bit_or(1::bigint << (observed_on - %s::date))"
_FOUND: Final = f"""
    SELECT code >> 1 AS transition, alert AS fingerprint, count(*) AS events, {SUM_OF_COUNTS} AS execs,
        max(last_at) AS last_at, max(workload_id) AS workload_id, max(binary_id) AS binary_id, {{days}} AS days
    FROM (SELECT *, CASE WHEN code & 1 = 1 THEN fingerprint END AS alert FROM {{events}} AS e OFFSET '0') AS e
    GROUP BY code, alert
"""  # noqa: S608 - constants
_EVENT_COLUMNS: Final = "e.fingerprint, e.count, e.last_at, e.workload_id, e.binary_id, e.observed_on"


class ClassNumbers:
    """The numbers of the classes of some rows, by the rows' ids: integers, or strings."""

    def __init__(self, ids: Any) -> None:
        """Take an empty array or list for the ids."""
        self.ids = ids
        self.numbers = array("i")

    def add(self, row: int | str, number: int) -> None:
        """Add one row."""
        self.ids.append(row)
        self.numbers.append(number)


class EventCounter:
    """Scans the events of some days, and joins only the parts that the policies need.

    A *code* is twice a transition's number, and one more where it alerts.
    """

    def __init__(
        self,
        until: dt.datetime,
        workloads: Sequence[tuple[int, Placing]],
        parts: Mapping[str, ClassNumbers | None],
        arrays: tuple[Mapping[str, Sequence[int]], Sequence[int]] | None,
        *,
        days_from: dt.date | None = None,
    ) -> None:
        """Take the numbers of the parts that are needed; None: of pods, which are in their table.

        `arrays` are each part's summands, and the codes of all keys (see `DenseKeys`); None: keys and their codes are
        in a table (see `SparseKeys`). `days_from`: which days too, as bits, this one lowest.
        """
        self._days_from = days_from
        join, self._joined = _joined(workloads, parts, "bigint" if arrays is None else "int")
        key, summands = _key(parts, arrays and arrays[0])
        where = "WHERE e.observed_on BETWEEN %s AND %s AND e.observed_at < %s AND e.reason <> %s"
        if Sensor.objects.filter(quarantined_at__isnull=False).exists():
            where += " AND e.sensor_id NOT IN (SELECT id FROM fleet_sensor WHERE quarantined_at IS NOT NULL)"
        self._period: list[Any] = [until, UNIDENTIFIED]
        self._code_values: list[Any] = []
        self._keys = f"INSERT INTO backtest_key SELECT DISTINCT {key} FROM {join} {where}"  # noqa: S608 - constants
        if arrays is None:
            self._code = "d.code"
            join += f" JOIN backtest_decision AS d ON d.key = {key}"
        else:
            self._code = f"(%s::int[])[{key}]"
            self._code_values = [_array(arrays[1]), *summands]
        self._from = f"FROM {join} {where}"

    def add_keys(self, days: stored.Days) -> None:
        """Collect the keys that occur."""
        with connection.cursor() as cursor:
            cursor.execute(self._keys, [*self._joined, *days, *self._period])

    def add_found(self, days: stored.Days, beside: Callable[[], object] = bool) -> None:
        """Count events by transition, and those that alert by fingerprint as well; `beside` is called meanwhile."""
        events, values = self.decided(days, _EVENT_COLUMNS)
        is_by_day = self._days_from is not None
        found = _FOUND.format(events=events, days=_DAYS if is_by_day else "0::bigint")
        stored.add_rows("backtest_found", found, [self._days_from, *values] if is_by_day else values, beside)

    def decided(self, days: stored.Days, columns: str) -> tuple[str, list[Any]]:
        """Return a subquery of the events of these days with their codes and these columns of `e`, and its values."""
        # OFFSET keeps it apart: the expression of the code would else be worked out wherever the code is used. Of the
        # offsets that do nothing, '0' alone is known as one before a parallel plan is considered.
        query = f"(SELECT {self._code} AS code, {columns} {self._from} OFFSET '0')"
        return query, [*self._code_values, *self._joined, *days, *self._period]


def found_keys() -> Iterator[list[int]]:
    """Yield the keys that occur, in batches."""
    with transaction.atomic(), connection.chunked_cursor() as cursor:
        cursor.execute("SELECT DISTINCT key FROM backtest_key")
        while rows := cursor.fetchmany(stored.BATCH):
            yield [key for (key,) in rows]


def _joined(
    workloads: Sequence[tuple[int, Placing]], parts: Mapping[str, ClassNumbers | None], number: str
) -> tuple[str, list[Any]]:
    """Return the events with their workloads as `w` and the numbers of their parts, and the values in it."""
    columns = ["base", *parts]
    join = f"alerts_driftevent AS e {_rows_joined('w', 'bigint', dict.fromkeys(columns, number))}"
    join += " ON w.id = e.workload_id"
    values: list[Any] = [_array(pk for pk, _ in workloads)]
    values += [_array(getattr(placing, column) for _, placing in workloads) for column in columns]
    for part, classes in parts.items():
        # A file that is not there any more decides nothing; of all others, class 0 has no rows.
        join += "" if part == "file" else " LEFT"
        if classes is None:
            join += f" JOIN backtest_{part} AS {part}"
        else:
            is_text = isinstance(classes.ids, list)
            join += f" {_rows_joined(part, 'text' if is_text else 'bigint', {'number': 'int'})}"
            values += [classes.ids if is_text else _array(classes.ids), _array(classes.numbers)]
        join += f" ON {part}.id = e.{PART_COLUMNS[part]}"
    return join, values


def _rows_joined(name: str, id_type: str, columns: Mapping[str, str]) -> str:
    """Return a join with rows of arrays. DISTINCT says that ids are unique, which decides how PostgreSQL joins them."""
    arrays = ", ".join(f"%s::{each}[]" for each in (id_type, *columns.values()))
    rows = f"unnest({arrays}) AS r (id, {', '.join(columns)})"
    return f"JOIN (SELECT DISTINCT ON (id) * FROM {rows}) AS {name}"  # noqa: S608 - constants


def _key(parts: Iterable[str], summands: Mapping[str, Sequence[int]] | None) -> tuple[str, list[str]]:
    """Return the expression of an event's key, and the values in it."""
    key, values = "w.base", []
    for part in parts:
        number = f"coalesce({part}.number, 0)"
        if summands is None:
            key += f" + w.{part} * {number}"
        elif any(summands[part]):
            key += f" + (%s::int[])[w.{part} + {number}]"
            values.append(_array(summands[part]))
    return key, values


def _array(numbers: Iterable[int]) -> str:
    """Return an array of integers, counted from 0, as PostgreSQL reads it."""
    strings = list(map(str, numbers))
    return f"[0:{len(strings) - 1}]={{{','.join(strings)}}}" if strings else "{}"
