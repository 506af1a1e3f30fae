"""The live sensors that would reject a policy, or decide less by it, since it uses what they do not know yet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from drift.policy.domain.edits import Document
from drift.policy.signals import sensors_lacking
from sensor.policy.features import FEATURES, LINEAGE, used_features

LEAVE_BEHIND: Final = "leave sensors behind"
"""What a person types to save a policy that some live sensors reject."""
SHOWN: Final = 5


@dataclass(frozen=True)
class LackingSensors:
    """Live sensors, by name: those that reject the policy for features, in words, and those that ignore some rules."""

    rejecting: tuple[str, ...]
    features: tuple[str, ...]
    ignoring: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """Return who lacks what, and what that means, in a few sentences."""
        kept = "It keeps its" if len(self.rejecting) == 1 else "They keep their"
        rejected = _sentence(self.rejecting, " and ".join(self.features), f"{kept} present policy until upgraded.")
        ignored = _sentence(self.ignoring, FEATURES[LINEAGE], "Rules on that match nothing there until upgraded.")
        return " ".join(filter(None, (rejected, ignored)))


def _sentence(names: Sequence[str], lacked: str, meaning: str) -> str:
    if not names:
        return ""
    count = len(names)
    shown = ", ".join(names[:SHOWN]) + (f" and {count - SHOWN} more" if count > SHOWN else "")
    who = "1 live sensor does" if count == 1 else f"{count} live sensors do"
    return f"{who} not know {lacked}: {shown}. {meaning}"


def lacking_sensors(before: Document, after: Document) -> LackingSensors | None:
    """Return the live sensors that do not know what `after` uses and `before` does not; None where there are none."""
    new = used_features(after) - used_features(before)
    rejected = new - {LINEAGE}
    rejecting = _names(rejected)
    ignoring = _names(new & {LINEAGE}) - rejecting
    if not rejecting and not ignoring:
        return None
    words = tuple(words for name, words in FEATURES.items() if name in rejected)
    return LackingSensors(tuple(sorted(rejecting)), words, tuple(sorted(ignoring)))


def _names(features: frozenset[str]) -> set[str]:
    if not features:
        return set()
    return {name for _, found in sensors_lacking.send(None, features=features) for name in found or ()}


def is_left_behind(typed: str) -> bool:
    """Return whether the typed confirmation accepts that sensors reject the policy."""
    return LEAVE_BEHIND in (phrase.strip() for phrase in typed.casefold().split(","))
