"""The events of one fingerprint in a batch, and their totals."""

from __future__ import annotations

import datetime as dt
import uuid
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from drift.alerts.domain.enriched_events import EnrichedEvent
from drift.alerts.domain.fingerprints import digest, workload_facts

OUTCOMES: Final = ("blocked", "none", "would_block", "not_blocked")
"""From the least to the most serious: an alert shows the most serious outcome among its events."""
MAX_COUNT: Final = 2**62
"""Counts stop here. Sensors report counts themselves, and the sum of two absurd ones must still fit a bigint."""


@dataclass
class EventGroup:
    """The events of one fingerprint in a batch, or those of them that one alert counts."""

    fingerprint: uuid.UUID
    events: list[EnrichedEvent] = field(default_factory=list)

    @property
    def first(self) -> EnrichedEvent:
        if len(self.events) == 1:
            return self.events[0]  # as in nearly every group that opens an alert
        # The id breaks ties, so that every process and every retry picks the same event.
        return min(self.events, key=lambda each: (each.event.observed_at, each.event.event_id))

    @property
    def first_seen(self) -> dt.datetime:
        return self.first.event.observed_at

    @property
    def last_seen(self) -> dt.datetime:
        return max(max(each.event.last_at, each.event.observed_at) for each in self.events)

    @property
    def count(self) -> int:
        return min(MAX_COUNT, sum(each.event.count for each in self.events))

    @property
    def blocked(self) -> int:
        return min(MAX_COUNT, sum(each.event.count for each in self.events if each.event.outcome == "blocked"))

    @property
    def outcome(self) -> str:
        return max((each.event.outcome for each in self.events), key=OUTCOMES.index)

    @property
    def hours(self) -> Counter[dt.datetime]:
        counted: Counter[dt.datetime] = Counter()
        for each in self.events:
            counted[each.hour] = min(MAX_COUNT, counted[each.hour] + each.event.count)
        return counted


def groups_by_fingerprint(events: Iterable[EnrichedEvent]) -> list[EventGroup]:
    """Group events by fingerprint, in the order of the fingerprints: the order in which alerts are locked."""
    groups: dict[uuid.UUID, EventGroup] = {}
    for each in events:
        groups.setdefault(each.fingerprint, EventGroup(each.fingerprint)).events.append(each)
    return sorted(groups.values(), key=lambda group: group.fingerprint)


def workload_scopes(cluster_id: int, groups: Sequence[EventGroup]) -> list[uuid.UUID]:
    """Return the scope of each group's workload (`Workload.scope`), computed once for each workload."""
    firsts = [group.first for group in groups]
    containers = {first.workload_id: first.event.container for first in firsts}
    scopes = {pk: digest(*workload_facts(cluster_id, container).scope) for pk, container in containers.items()}
    return [scopes[first.workload_id] for first in firsts]
