"""Events of one fingerprint in a batch, added up."""

from __future__ import annotations

import datetime as dt
import uuid
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from drift.alerts.domain.enriched_events import EnrichedEvent

OUTCOMES: Final = ("blocked", "none", "not_blocked")
"""From the least to the most serious: an alert shows the most serious one it has."""
MAX_COUNT: Final = 2**62
"""Counts stop here: a sensor that reports absurd ones must not make a sum that no column holds."""


@dataclass
class EventGroup:
    """The events of one fingerprint in a batch, or those of them that go to one alert."""

    fingerprint: uuid.UUID
    events: list[EnrichedEvent] = field(default_factory=list)

    @property
    def first(self) -> EnrichedEvent:
        return min(self.events, key=lambda seen: (seen.event.observed_at, seen.event.event_id))

    @property
    def first_seen(self) -> dt.datetime:
        return self.first.event.observed_at

    @property
    def last_seen(self) -> dt.datetime:
        return max(max(seen.event.last_at, seen.event.observed_at) for seen in self.events)

    @property
    def count(self) -> int:
        return min(MAX_COUNT, sum(seen.event.count for seen in self.events))

    @property
    def blocked(self) -> int:
        return min(MAX_COUNT, sum(seen.event.count for seen in self.events if seen.event.outcome == "blocked"))

    @property
    def outcome(self) -> str:
        return max((seen.event.outcome for seen in self.events), key=OUTCOMES.index)

    @property
    def hours(self) -> Counter[dt.datetime]:
        counted: Counter[dt.datetime] = Counter()
        for seen in self.events:
            counted[seen.hour] = min(MAX_COUNT, counted[seen.hour] + seen.event.count)
        return counted
