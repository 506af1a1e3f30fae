"""What a run found, as it is stored and shown."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, TypedDict

from django.db import connection

from drift.alerts.models import Alert, Binary, Workload
from drift.backtest.domain.policy_pair import RuleOutcome, Transition

EXAMPLES: Final = 20
MOST_TRANSITIONS: Final = 200


class OutcomeJson(TypedDict):
    """A decision: the rule's id and name, and the action."""

    rule: str
    name: str
    action: str


class TransitionJson(TypedDict):
    """Events that one rule decided before and another (or the same, otherwise) afterwards."""

    before: OutcomeJson
    after: OutcomeJson
    events: int
    execs: int
    vanish: int
    appear: int


class RuleJson(TypedDict):
    """A rule, and the events and execs that it decides before and after."""

    rule: str
    name: str
    events_before: int
    events_after: int
    execs_before: int
    execs_after: int


class Example(TypedDict):
    """One alert, and the execs that it counts before and after; 0 where it is none.

    Where its events differ, `before` and `after` are those of one of them.
    """

    path: str
    sha256: str
    kind: str
    cluster: str
    namespace: str
    owner: str
    container: str
    image: str
    execs_before: int
    execs_after: int
    last_seen: str
    before: OutcomeJson
    after: OutcomeJson
    alert: int | None


class Result(TypedDict):
    """The whole. `alerts` and `blocking` count alerts (fingerprints), not events."""

    events: int
    execs: int
    workloads: int
    changed_events: int
    alerts: dict[str, int]
    blocking: dict[str, int]
    rules: list[RuleJson]
    transitions: list[TransitionJson]
    more_transitions: int
    vanish: list[Example]
    appear: list[Example]
    noisiest: list[Example]


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


def summarise(transitions: Sequence[Transition], names: Mapping[str, str], workloads: int) -> Result:
    """Read the counts out of the temporary tables, and put all together. A fixed number of queries."""
    said = {each: _said(each, names) for made in transitions for each in made}
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
    changed = _transitions(tally, transitions, said, by_transition)
    return {
        "events": sum(tally.events),
        "execs": sum(tally.execs),
        "workloads": workloads,
        "changed_events": sum(each["events"] for each in changed),
        "alerts": {"before": before, "after": after, "vanish": vanish, "appear": appear},
        "blocking": {"before": blocked_before, "after": blocked_after},
        "rules": _rules(tally, transitions, names),
        "transitions": changed[:MOST_TRANSITIONS],
        "more_transitions": max(0, len(changed) - MOST_TRANSITIONS),
        "vanish": _examples(_VANISH, transitions, said),
        "appear": _examples(_APPEAR, transitions, said),
        "noisiest": _examples(_REMAIN, transitions, said),
    }


def _levels(transitions: Sequence[Transition]) -> tuple[list[int], list[int], list[int]]:
    """Numbers, and whether each alerts or blocks before and after."""
    levels = [made.levels for made in transitions]
    return list(range(len(levels))), [before for before, _ in levels], [after for _, after in levels]


def _said(said: RuleOutcome, names: Mapping[str, str]) -> OutcomeJson:
    return {"rule": said.rule, "name": names.get(said.rule, said.rule), "action": said.action}


def _transitions(
    tally: Tally,
    transitions: Sequence[Transition],
    said: Mapping[RuleOutcome, OutcomeJson],
    alerts: Mapping[int, tuple[int, int]],
) -> list[TransitionJson]:
    """Those that change anything, the most frequent first."""
    found: list[TransitionJson] = []
    for number, made in enumerate(transitions):
        # Decided ahead, but no event came of it.
        if made.before != made.after and tally.events[number]:
            vanish, appear = alerts.get(number, (0, 0))
            found.append(
                {
                    "before": said[made.before],
                    "after": said[made.after],
                    "events": tally.events[number],
                    "execs": tally.execs[number],
                    "vanish": vanish,
                    "appear": appear,
                }
            )
    return sorted(found, key=lambda each: -each["events"])


def _rules(tally: Tally, transitions: Sequence[Transition], names: Mapping[str, str]) -> list[RuleJson]:
    """Every rule that decided anything, in the order of `names`."""
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


def _examples(which: str, transitions: Sequence[Transition], said: Mapping[RuleOutcome, OutcomeJson]) -> list[Example]:
    """The most frequent alerts of one kind, with what a person needs to know them again."""
    columns = "fingerprint, transition, execs_before, execs_after, last_seen, workload_id, binary_id"
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {columns} FROM backtest_alert WHERE {which}, fingerprint LIMIT {EXAMPLES}")  # noqa: S608 - constants
        rows = cursor.fetchall()
    workloads = Workload.objects.select_related("cluster").in_bulk([row[5] for row in rows])
    binaries = Binary.objects.in_bulk([row[6] for row in rows])
    current = Alert.objects.filter(fingerprint__in=[row[0] for row in rows], current=True)
    alerts = dict(current.values_list("fingerprint", "pk"))
    examples = []
    for fingerprint, transition, before, after, last_seen, workload_id, binary_id in rows:
        made = transitions[transition]
        seen = _Seen(before, after, last_seen, said[made.before], said[made.after], alerts.get(fingerprint))
        examples.append(_example(seen, workloads.get(workload_id), binaries.get(binary_id)))
    return examples


class _Seen(NamedTuple):
    """What is counted of one alert."""

    execs_before: int
    execs_after: int
    last_seen: dt.datetime
    before: OutcomeJson
    after: OutcomeJson
    alert: int | None


def _example(seen: _Seen, workload: Workload | None, binary: Binary | None) -> Example:
    """Retention may have taken the workload or the file meanwhile: then their facts are empty."""
    return {
        "path": binary.path if binary else "",
        "sha256": binary.sha256 if binary else "",
        "kind": binary.kind if binary else "",
        "cluster": workload.cluster.name if workload else "",
        "namespace": workload.namespace if workload else "",
        "owner": workload.owner_name if workload else "",
        "container": workload.container_name if workload else "",
        "image": workload.image_name if workload else "",
        "execs_before": seen.execs_before,
        "execs_after": seen.execs_after,
        "last_seen": seen.last_seen.isoformat(),
        "before": seen.before,
        "after": seen.after,
        "alert": seen.alert,
    }
