"""The signals of a file's content: where else it ran, what reviewers and lists say of it (docs/priority.md#scopes)."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Final

from drift.alerts.domain.priority_signals import Signal, signal

OLD: Final = dt.timedelta(days=7)
SOME, MANY = 2, 5
SHORT_NAME: Final = 3
"""Characters from which on the beginning of a name is much the same name."""
_STEM: Final = re.compile(r"[-_.\d]")
HARMLESS: Final = frozenset({"benign_true_positive", "expected", "false_positive", "accepted_risk"})


@dataclass(frozen=True)
class ContentFacts:
    """What is known of a content in the whole estate, or in one namespace of a cluster alone.

    `workloads`: how many others ran it. `first_seen_on`: the first day on which anyone ran it, None if it is not known.
    `verdicts`: (resolution, alert), the newest first. `known_as`: the one name, another, that it has elsewhere.
    """

    workloads: int = 0
    first_seen_on: dt.date | None = None
    verdicts: tuple[tuple[str, int], ...] = ()
    known_as: str = ""


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
    if facts.workloads >= SOME and facts.known_as:
        yield signal("renamed_content", facts.known_as)


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


def other_name(name: str, elsewhere: Collection[str]) -> str:
    """Return the one name that a file has elsewhere; "" where it has several there, or one that is much the same."""
    names = set(elsewhere)
    if len(names) != 1:
        return ""
    other = names.pop()
    stems = [_STEM.split(each.lower(), maxsplit=1)[0] for each in (name, other)]
    shorter, longer = sorted(stems, key=len)
    is_alike = shorter == longer or (len(shorter) >= SHORT_NAME and longer.startswith(shorter))
    return "" if is_alike or not shorter else other
