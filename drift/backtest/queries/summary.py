"""Read the result of a backtest out of the temporary tables."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from django.db import connection

from drift.alerts.models import Alert, Binary, Workload
from drift.backtest.domain.result import Example, OutcomeJson, Result, RuleJson, TransitionJson
from drift.backtest.domain.transitions import RuleOutcome, Transition

EXAMPLES: Final = 20
MAX_TRANSITIONS: Final = 200
"""How many transitions are stored and shown of a run."""

_COUNTED = "SELECT transition, sum(events)::bigint, sum(execs)::bigint FROM backtest_found GROUP BY transition"
_BY_ALERT = """
    CREATE TEMPORARY TABLE backtest_alert ON COMMIT DROP AS
    SELECT fingerprint, max(before) AS before, max(after) AS after, max(transition) AS transition,
        coalesce(sum(execs) FILTER (WHERE before > 0), 0)::bigint AS execs_before,
        coalesce(sum(execs) FILTER (WHERE after > 0), 0)::bigint AS execs_after,
        max(last_at) AS last_seen, max(workload_id) AS workload_id, max(binary_id) AS binary_id
    FROM backtest_found
    JOIN unnest(%s::int[], %s::int[], %s::int[]) AS level (transition, before, after) USING (transition)
    WHERE fingerprint IS NOT NULL GROUP BY fingerprint
"""
_VANISH: Final = "before > 0 AND after = 0 ORDER BY execs_before DESC"
_APPEAR: Final = "before = 0 AND after > 0 ORDER BY execs_after DESC"
_REMAIN: Final = "after > 0 ORDER BY execs_after DESC"
_COUNTS = """
    SELECT count(*) FILTER (WHERE before > 0), count(*) FILTER (WHERE after > 0),
        count(*) FILTER (WHERE before > 0 AND after = 0), count(*) FILTER (WHERE before = 0 AND after > 0),
        count(*) FILTER (WHERE before = 2), count(*) FILTER (WHERE after = 2)
    FROM backtest_alert
"""
_BY_TRANSITION = """
    SELECT transition, count(*) FILTER (WHERE before > 0), count(*) FILTER (WHERE after > 0)
    FROM backtest_alert WHERE (before > 0) <> (after > 0) GROUP BY transition
"""


@dataclass
class Tally:
    """Events and execs by transition number."""

    events: list[int]
    execs: list[int]


def summarise(
    transitions: Sequence[Transition], names: Mapping[str, str], workloads: int, max_transitions: int | None
) -> Result:
    """Return the result of a run, with all transitions if `max_transitions` is None; the number of queries is fixed."""
    outcomes = {each: _outcome(each, names) for transition in transitions for each in transition}
    tally = Tally([0] * len(transitions), [0] * len(transitions))
    with connection.cursor() as cursor:
        cursor.execute(_COUNTED)
        for number, events, execs in cursor.fetchall():
            tally.events[number], tally.execs[number] = events, execs
        cursor.execute(_BY_ALERT, _levels(transitions))
        cursor.execute(_COUNTS)
        before, after, vanish, appear, blocked_before, blocked_after = cursor.fetchone() or (0,) * 6
        cursor.execute(_BY_TRANSITION)
        by_transition = {number: (gone, new) for number, gone, new in cursor.fetchall()}
    changed = _transitions(tally, transitions, outcomes, by_transition)
    return {
        "events": sum(tally.events),
        "execs": sum(tally.execs),
        "workloads": workloads,
        "changed_events": sum(each["events"] for each in changed),
        "alerts": {"before": before, "after": after, "vanish": vanish, "appear": appear},
        "blocking": {"before": blocked_before, "after": blocked_after},
        "rules": _rules(tally, transitions, names),
        "transitions": changed[:max_transitions],
        "more_transitions": len(changed) - len(changed[:max_transitions]),
        "vanish": _examples(_VANISH, transitions, outcomes),
        "appear": _examples(_APPEAR, transitions, outcomes),
        "noisiest": _examples(_REMAIN, transitions, outcomes),
    }


def _levels(transitions: Sequence[Transition]) -> tuple[list[int], list[int], list[int]]:
    """Return the transitions' numbers, and their LEVELS before and after."""
    levels = [transition.levels for transition in transitions]
    return list(range(len(levels))), [before for before, _ in levels], [after for _, after in levels]


def _outcome(outcome: RuleOutcome, names: Mapping[str, str]) -> OutcomeJson:
    return {"rule": outcome.rule, "name": names.get(outcome.rule, outcome.rule), "action": outcome.action}


def _transitions(
    tally: Tally,
    transitions: Sequence[Transition],
    outcomes: Mapping[RuleOutcome, OutcomeJson],
    alerts: Mapping[int, tuple[int, int]],
) -> list[TransitionJson]:
    """Return the transitions that change a decision, the most frequent first."""
    found: list[TransitionJson] = []
    for number, made in enumerate(transitions):
        # Combinations are decided before it is known whether any event has them.
        if made.before != made.after and tally.events[number]:
            vanish, appear = alerts.get(number, (0, 0))
            found.append(
                {
                    "before": outcomes[made.before],
                    "after": outcomes[made.after],
                    "events": tally.events[number],
                    "execs": tally.execs[number],
                    "vanish": vanish,
                    "appear": appear,
                }
            )
    return sorted(found, key=lambda each: -each["events"])


def _rules(tally: Tally, transitions: Sequence[Transition], names: Mapping[str, str]) -> list[RuleJson]:
    """Return every rule that decides an event, in the order of `names`."""
    counts: tuple[Counter[str], ...] = (Counter(), Counter(), Counter(), Counter())
    for made, events, execs in zip(transitions, tally.events, tally.execs, strict=True):
        counts[0][made.before.rule] += events
        counts[1][made.after.rule] += events
        counts[2][made.before.rule] += execs
        counts[3][made.after.rule] += execs
    return [
        {
            "rule": rule,
            "name": name,
            "events_before": counts[0][rule],
            "events_after": counts[1][rule],
            "execs_before": counts[2][rule],
            "execs_after": counts[3][rule],
        }
        for rule, name in names.items()
        if counts[0][rule] or counts[1][rule]
    ]


def _examples(
    condition: str, transitions: Sequence[Transition], outcomes: Mapping[RuleOutcome, OutcomeJson]
) -> list[Example]:
    """Return the most frequent alerts that `condition` selects, with the facts that identify them."""
    columns = "fingerprint, transition, execs_before, execs_after, last_seen, workload_id, binary_id"
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {columns} FROM backtest_alert WHERE {condition}, fingerprint LIMIT {EXAMPLES}")  # noqa: S608 - constants
        rows = cursor.fetchall()
    workloads = Workload.objects.select_related("cluster").in_bulk([row[5] for row in rows])
    binaries = Binary.objects.in_bulk([row[6] for row in rows])
    current = Alert.objects.filter(fingerprint__in=[row[0] for row in rows], current=True)
    alerts = dict(current.values_list("fingerprint", "pk"))
    examples = []
    for fingerprint, transition, before, after, last_seen, workload_id, binary_id in rows:
        first, second = (outcomes[outcome] for outcome in transitions[transition])
        found = _AlertCounts(before, after, last_seen, first, second, alerts.get(fingerprint))
        examples.append(_example(found, workloads.get(workload_id), binaries.get(binary_id)))
    return examples


class _AlertCounts(NamedTuple):
    """The counts of one alert."""

    execs_before: int
    execs_after: int
    last_seen: dt.datetime
    before: OutcomeJson
    after: OutcomeJson
    alert: int | None


def _example(counts: _AlertCounts, workload: Workload | None, binary: Binary | None) -> Example:
    """Return one example; the facts of a workload or file that retention has deleted are empty."""
    return {
        "path": binary.path if binary else "",
        "sha256": binary.sha256 if binary else "",
        "kind": binary.kind if binary else "",
        "cluster": workload.cluster.name if workload else "",
        "namespace": workload.namespace if workload else "",
        "owner": workload.owner_name if workload else "",
        "container": workload.container_name if workload else "",
        "image": workload.image_name if workload else "",
        "execs_before": counts.execs_before,
        "execs_after": counts.execs_after,
        "last_seen": counts.last_seen.isoformat(),
        "before": counts.before,
        "after": counts.after,
        "alert": counts.alert,
    }
