"""How often alerts of a way, or with a trait, were opened, here and in other workloads (docs/priority.md#ways)."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterable
from typing import Final, NamedTuple

from accounts.prepared_rows import array, prepared_rows
from drift.alerts.domain.habits import HabitFacts

MAX_OWN_DAYS: Final = 30
MAX_DAYS: Final = 300
"""Rows of a way that are read of other workloads: of ten workloads each day of a month."""
MAX_TRAIT_DAYS: Final = 12
"""Rows of a trait that are read, of other days: a few tell that it is everyday."""
FACTS: Final = """
SELECT asked.number, own.days, others.workloads, others.days, everywhere.alert, here.alert
FROM unnest(%s::uuid[], %s::uuid[], %s::date[], %s::bigint[], %s::text[])
    WITH ORDINALITY AS asked (habit, scope, day, cluster_id, namespace, number)
CROSS JOIN LATERAL (
    SELECT count(*) AS days FROM (
        SELECT FROM alerts_habitday AS own
        WHERE own.habit = asked.habit AND own.scope = asked.scope AND own.day <> asked.day LIMIT %s
    ) AS own
) AS own
CROSS JOIN LATERAL (
    SELECT count(DISTINCT scope) AS workloads, count(DISTINCT day) AS days FROM (
        SELECT scope, day FROM alerts_habitday AS other
        WHERE other.habit = asked.habit AND other.scope <> asked.scope LIMIT %s
    ) AS other
) AS others
LEFT JOIN LATERAL (
    SELECT id AS alert FROM alerts_alert AS attack
    WHERE attack.habit = asked.habit AND attack.verdict = 'true_positive'
        AND attack.set_aside_at IS NULL AND NOT attack.sample
    ORDER BY id DESC LIMIT 1
) AS everywhere ON true
LEFT JOIN LATERAL (
    SELECT id AS alert FROM alerts_alert AS attack
    WHERE attack.habit = asked.habit AND attack.verdict = 'true_positive'
        AND attack.cluster_id = asked.cluster_id AND attack.namespace = asked.namespace
        AND attack.set_aside_at IS NULL AND NOT attack.sample
    ORDER BY id DESC LIMIT 1
) AS here ON true
"""
TRAITS: Final = """
SELECT asked.number, own.days, everywhere.days
FROM unnest(%s::uuid[], %s::uuid[], %s::date[]) WITH ORDINALITY AS asked (trait, scope, day, number)
CROSS JOIN LATERAL (
    SELECT count(*) AS days FROM (
        SELECT FROM alerts_habitday AS own
        WHERE own.habit = asked.trait AND own.scope = asked.scope AND own.day <> asked.day LIMIT %s
    ) AS own
) AS own
CROSS JOIN LATERAL (
    SELECT count(DISTINCT day) AS days FROM (
        SELECT day FROM alerts_habitday AS each WHERE each.habit = asked.trait AND each.day <> asked.day LIMIT %s
    ) AS each
) AS everywhere
"""


class PlacedHabit(NamedTuple):
    """A way in which an alert of a workload (`scope`) came about, or a trait of it, on a day."""

    habit: uuid.UUID
    scope: uuid.UUID
    day: dt.date
    cluster_id: int
    namespace: str


class KnownHabits(NamedTuple):
    """What is known of a way in the whole estate, and of its own workload and namespace alone."""

    estate: HabitFacts
    place: HabitFacts


class KnownTrait(NamedTuple):
    """The other days on which alerts had a trait: in the whole estate, and in the workload alone."""

    estate: int
    workload: int


def known_habits(asked: Iterable[PlacedHabit]) -> dict[PlacedHabit, KnownHabits]:
    """Return what is known of each way, with one query."""
    ways = list(dict.fromkeys(asked))
    if not ways:
        return {}
    *columns, namespaces = zip(*ways, strict=True)
    rows = prepared_rows(FACTS, [*map(array, columns), list(namespaces), MAX_OWN_DAYS, MAX_DAYS])
    return {
        ways[number - 1]: KnownHabits(
            HabitFacts(own_days, workloads, days, attack or 0), HabitFacts(own_days, attack=nearby or 0)
        )
        for number, own_days, workloads, days, attack, nearby in rows
    }


def known_traits(asked: Iterable[PlacedHabit]) -> dict[PlacedHabit, KnownTrait]:
    """Return on how many other days alerts had each trait, as far as they are counted, with one query."""
    traits = list(dict.fromkeys(asked))
    if not traits:
        return {}
    columns = map(array, zip(*(each[:3] for each in traits), strict=True))
    rows = prepared_rows(TRAITS, [*columns, MAX_TRAIT_DAYS, MAX_TRAIT_DAYS])
    # Of a trait with many rows only some are read: the workload's own days may be among the others.
    return {traits[number - 1]: KnownTrait(max(own, everywhere), own) for number, own, everywhere in rows}
