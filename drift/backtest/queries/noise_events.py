"""Read the evidence for a noise budget: alerting events by their facts, and what reviewers and lists know of them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache, partial
from typing import Any, Final

from django.db import connection
from django.db.models.expressions import RawSQL

from drift.alerts.models import Alert, Binary, DriftEvent, HashVerdict, ListedHash, Provenance, Resolution, Workload
from drift.backtest.domain.noise_evidence import (
    WINDOW_BITS,
    WINDOW_DAYS,
    WINDOWS,
    NoiseEstate,
    NoiseEvidence,
    NoiseFile,
    NoiseWorkload,
)
from drift.backtest.domain.path_shapes import numbered_shape
from drift.backtest.domain.transitions import TransitionTable
from drift.backtest.errors import TooMuchNoise
from drift.backtest.queries import stored_events as stored
from drift.backtest.queries.comparison import DECIDED, Comparison
from drift.backtest.queries.event_counts import SUM_OF_COUNTS
from drift.fleet.models import SensorLoss
from sensor.policy.flat_event import PROVENANCE_ROWS, WORKLOAD_ROWS

MAX_EVIDENCE: Final = 300_000
"""Rows of evidence that a worker holds: 1.2 to 1.5 KiB each with what is worked out of them, 350 to 450 MiB in all.

Measured on copies of the planted estate with names and contents of their own (docs/noise-budget.md#measured).
"""
SLACK: Final = dt.timedelta(minutes=10)
"""By which a sensor's clock may differ from the portal's, which dated its losses."""
BATCH: Final = 10_000
FILE_FACTS: Final = ("process_path", "process_name", "process_sha256", "drift_kind")
"""The facts of a NoiseFile, in order."""
_WINDOWS: Final = [f"window_{number}" for number in range(WINDOWS)]
_KEYS: Final = "fingerprint, workload_id, binary_id, provenance_id, parent_name, transition, lossy"
_LOSSY: Final = """EXISTS (
    SELECT FROM fleet_sensorloss AS loss WHERE loss.sensor_id = e.sensor_id
        AND loss.since - %s <= e.last_at AND loss.until + %s >= e.observed_at
)"""
_LOST: Final = "(e.sensor_id = %s AND %s <= e.last_at AND %s >= e.observed_at)"
FEW_LOSSES: Final = 40
"""So many periods are compared with each event directly, which takes half the time of looking each event up."""
_WINDOW: Final = (
    "coalesce(bit_or(1::bigint << (hashtext(container_id) & 63)) "
    f"FILTER (WHERE (observed_on - %s::date) / {WINDOW_DAYS} = {{}}), 0)"
)
_EVENT_COLUMNS: Final = """e.fingerprint, e.workload_id, e.binary_id, coalesce(e.provenance_id, 0) AS provenance_id,
    e.parent_name::text AS parent_name, e.sensor_id, e.observed_on, e.observed_at, e.last_at, e.received_at, e.count,
    e.container_id"""
_NOISE: Final = f"""
    SELECT fingerprint, workload_id, binary_id, provenance_id, parent_name, code >> 1 AS transition,
        bit_or(1::bigint << (observed_on - %s::date)) AS days, {SUM_OF_COUNTS} AS execs,
        min(received_at) AS received_at, {{is_lossy}} AS lossy,
        {", ".join(f"{_WINDOW.format(number)} AS window_{number}" for number in range(WINDOWS))}
    FROM {{events}} AS e WHERE code & 1 = 1
    GROUP BY fingerprint, workload_id, binary_id, provenance_id, parent_name, code, lossy
"""  # noqa: S608 - constants
_READ: Final = f"""
    SELECT {_KEYS}, bit_or(days), sum(execs)::bigint,
        extract(epoch FROM min(received_at))::float8,
        {", ".join(f"bit_or({name})" for name in _WINDOWS)}
    FROM backtest_noise GROUP BY {_KEYS} ORDER BY {_KEYS} LIMIT %s
"""  # noqa: S608 - constants
_VERDICTS: Final = """
    SELECT fingerprint, verdict FROM alerts_alert
    WHERE set_aside_at IS NULL AND NOT sample AND fingerprint IN (SELECT fingerprint FROM backtest_noise)
"""


def first_event_day(first_day: dt.date) -> dt.date | None:
    """Return the first day from then on of which an event is stored."""
    days = DriftEvent.objects.filter(observed_on__gte=first_day).order_by("observed_on")
    found: dt.date | None = days.values_list("observed_on", flat=True).first()
    return found


def noise_estate(
    document: Mapping[str, Any],
    first_day: dt.date,
    until: dt.datetime,
    report: Callable[[int], bool],
    *,
    files: stored.RememberedFiles,
) -> NoiseEstate:
    """Return the evidence of the whole estate under a policy, in a `snapshot`. Raises TooMuchNoise, Cancelled."""
    table = TransitionTable(document, document)
    estate = NoiseEstate(first_day, until)
    comparison = Comparison(table, first_day, until, report, viewer=None, files=files)
    counting = comparison.classify()
    is_lossy, loss_values = _loss_condition(first_day)
    known_files = cache(partial(_known_files, estate, files))
    for days in comparison.through(DECIDED, 100):
        events, values = counting.decided(days, _EVENT_COLUMNS)
        found = _NOISE.format(is_lossy=is_lossy, events=events)
        values = [first_day, *loss_values, *[first_day] * WINDOWS, *values]
        stored.add_rows("backtest_noise", found, values, known_files)
    estate.rows = list(_rows(table))
    if len(estate.rows) > MAX_EVIDENCE:
        raise TooMuchNoise(MAX_EVIDENCE)
    estate.verdicts = _verdicts()
    _add_facts(estate, known_files())
    _add_attacks(estate)
    return estate


def _loss_condition(first_day: dt.date) -> tuple[str, list[object]]:
    start = dt.datetime.combine(first_day, dt.time(tzinfo=dt.UTC)) - SLACK
    losses = SensorLoss.objects.filter(until__gte=start).order_by("sensor", "since")
    periods = list(losses.values_list("sensor", "since", "until")[: FEW_LOSSES + 1])
    if not periods:
        return "false", []
    if len(periods) > FEW_LOSSES:
        return _LOSSY, [SLACK, SLACK]
    values: list[object] = [
        value for sensor, since, until in periods for value in (sensor, since - SLACK, until + SLACK)
    ]
    return f"({' OR '.join([_LOST] * len(periods))})", values


def _rows(table: TransitionTable) -> Iterator[NoiseEvidence]:
    decisions = [(made.before.rule, made.before.action) for made in table.transitions]
    window = (1 << WINDOW_BITS) - 1
    with connection.cursor() as cursor:
        cursor.execute(_READ, [MAX_EVIDENCE + 1])
        while batch := cursor.fetchmany(BATCH):
            for *keys, transition, lossy, days, execs, received, w0, w1, w2, w3 in batch:
                containers = w0 & window
                if w1 or w2 or w3:
                    containers |= ((w3 & window) << WINDOW_BITS | w2 & window) << 2 * WINDOW_BITS
                    containers |= (w1 & window) << WINDOW_BITS
                yield NoiseEvidence._make((*keys, *decisions[transition], days, execs, received, containers, lossy))


def _verdicts() -> list[tuple[int, str]]:
    """Return the stored alerts of the evidence: fingerprint and resolution."""
    with connection.cursor() as cursor:
        cursor.execute(_VERDICTS)
        return [(fingerprint.int, verdict) for fingerprint, verdict in cursor.fetchall()]


def _add_facts(estate: NoiseEstate, known_files: Mapping[int, NoiseFile] | None) -> None:
    """Add the workloads, files and provenances of the rows."""
    columns = ("cluster__environment_id", "cluster_id", "namespace", "owner_kind", "owner_name", "container_name")
    of_workload = ("scope", *columns, "image_name", "image_digest", "first_seen_on")
    known = len(of_workload)
    for pk, *values in _facts(Workload, "workload_id", of_workload + WORKLOAD_ROWS.columns):
        estate.workloads[pk] = NoiseWorkload(WORKLOAD_ROWS.facts(values[known:]), *values[:known])
    estate.files = _files(estate, known_files)
    for pk, *values in _facts(Provenance, "provenance_id", PROVENANCE_ROWS.columns):
        estate.provenances[pk] = PROVENANCE_ROWS.facts(values)
    for row in estate.rows:
        # One that retention deleted meanwhile is unknown.
        estate.provenances.setdefault(row.provenance, {})


def _known_files(estate: NoiseEstate, files: stored.RememberedFiles) -> dict[int, NoiseFile] | None:
    """Return the files that were kept, and note the shapes of their paths; None where they were too many."""
    if files.kept is None:
        return None
    known = {}
    for batch in files.kept:
        for pk, day, facts in batch:
            known[pk] = file = NoiseFile._make((*(facts[name] or "" for name in FILE_FACTS), day))
            estate.numbered[file.path] = numbered_shape(file.path)
    return known


def _files(estate: NoiseEstate, known: Mapping[int, NoiseFile] | None) -> dict[int, NoiseFile]:
    """Return the files of the rows in the order of their ids."""
    if known is None:
        columns = ("path", "name", "sha256", "kind", "first_seen_on")
        return {pk: NoiseFile(*values) for pk, *values in _facts(Binary, "binary_id", columns)}
    return {pk: known[pk] for pk in sorted({row.file for row in estate.rows}) if pk in known}


def _add_attacks(estate: NoiseEstate) -> None:
    """Add the true positives and the known-bad contents."""
    attacks = Alert.objects.filter(verdict=Resolution.TRUE_POSITIVE, sample=False)
    facts = attacks.values_list("fingerprint", "workload__scope", "path", "binary__sha256")
    for fingerprint, scope, path, sha256 in facts.iterator(chunk_size=BATCH):
        estate.attacks |= {fingerprint}
        estate.attack_files |= {(scope, path)}
        estate.attack_contents |= {sha256} - {""}
    for contents in _batches(sorted({file.sha256 for file in estate.files.values()} - {""})):
        listed = ListedHash.objects.filter(sha256__in=contents, hash_list__verdict=HashVerdict.BAD)
        estate.bad_contents |= set(listed.values_list("sha256", flat=True))


def _facts(model: Any, column: str, columns: Iterable[str]) -> Iterator[tuple[Any, ...]]:
    """Yield id and columns of the rows that the evidence refers to by one of its columns."""
    mentioned = model.objects.filter(pk__in=RawSQL(f"SELECT {column} FROM backtest_noise", []))  # noqa: S608, S611
    yield from mentioned.order_by("pk").values_list("pk", *columns).iterator(chunk_size=BATCH)


def _batches(values: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(values), BATCH):
        yield values[start : start + BATCH]
