"""The signals of a file's content: where else it ran, what reviewers and lists say of it (docs/priority.md#scopes)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from drift.alerts.domain.priority_signals import Signal, signal

OLD: Final = dt.timedelta(days=7)
SOME, MANY = 2, 5
HARMLESS: Final = frozenset({"benign_true_positive", "expected", "false_positive", "accepted_risk"})


@dataclass(frozen=True)
class ContentFacts:
    """What is known of a content in the whole estate, or in one namespace of a cluster alone.

    `workloads`: how many others ran it. `first_seen_on`: the first day on which anyone ran it, None if it is not known.
    `verdicts`: (resolution, alert), the newest first.
    """

    workloads: int = 0
    first_seen_on: dt.date | None = None
    verdicts: tuple[tuple[str, int], ...] = ()


def content_signals(facts: ContentFacts, opened_on: dt.date, place: str) -> list[Signal]:
    """Return the signals of a known content; `place` is "in this estate" or "in this namespace"."""
    return [*_age(facts, opened_on, place), *_spread(facts), *_verdict(facts)]


def list_signals(good: str, bad: str) -> list[Signal]:
    """Return the signal of the lists that have the content, by their names; a known-bad list outweighs the others."""
    if bad:
        return [signal("known_bad", bad)]
    return [signal("known_good", good)] if good else []


def severity_signals(severity: str) -> list[Signal]:
    """Return the signal of the rule's severity; High is what alerts start from."""
    return [] if severity == "high" else [signal(f"severity_{severity}")]


def _age(facts: ContentFacts, opened_on: dt.date, place: str) -> Iterator[Signal]:
    first = facts.first_seen_on
    if first is not None and opened_on - first >= OLD:
        yield signal("seen_before", str((opened_on - first).days))
    elif first is not None and facts.workloads == 0 and first >= opened_on:
        yield signal("first_seen", place)


def _spread(facts: ContentFacts) -> Iterator[Signal]:
    if facts.workloads >= MANY:
        yield signal("spread_wide", str(facts.workloads))
    elif facts.workloads >= SOME:
        yield signal("spread_some", str(facts.workloads))


def _verdict(facts: ContentFacts) -> Iterator[Signal]:
    # One true positive outweighs any number of dismissals: somebody may have dismissed it before it was understood.
    for resolution, alert in facts.verdicts:
        if resolution == "true_positive":
            yield signal("true_positive", str(alert))
            return
    for resolution, alert in facts.verdicts:
        if resolution in HARMLESS:
            yield signal("judged_harmless", str(alert))
            return
