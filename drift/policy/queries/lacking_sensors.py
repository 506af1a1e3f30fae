"""The live sensors that would reject a policy, or decide less by it, since it uses what they do not know yet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from drift.policy.domain.edits import Document
from drift.policy.signals import sensors_lacking
from sensor.policy.document import lineage_rules
from sensor.policy.features import FEATURES, LINEAGE, used_features

LEAVE_BEHIND: Final = "leave sensors behind"
"""What a person types to save a policy that some live sensors reject, or of which they disable rules."""
SHOWN: Final = 5


@dataclass(frozen=True)
class LackingSensors:
    """Live sensors, by name: those that reject the policy for features, in words, and those that disable rules."""

    rejecting: tuple[str, ...]
    features: tuple[str, ...]
    disabling: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """Return who lacks what, and what that means, in a few sentences."""
        kept = "It keeps its" if len(self.rejecting) == 1 else "They keep their"
        rejected = _sentence(self.rejecting, " and ".join(self.features), f"{kept} present policy until upgraded.")
        disable = "It disables" if len(self.disabling) == 1 else "They disable"
        disabled = _sentence(self.disabling, FEATURES[LINEAGE], f"{disable} the rules that use it until upgraded.")
        return " ".join(filter(None, (rejected, disabled)))


def _sentence(names: Sequence[str], lacked: str, meaning: str) -> str:
    if not names:
        return ""
    count = len(names)
    shown = ", ".join(names[:SHOWN]) + (f" and {count - SHOWN} more" if count > SHOWN else "")
    who = "1 live sensor does" if count == 1 else f"{count} live sensors do"
    return f"{who} not know {lacked}: {shown}. {meaning}"


def lacking_sensors(before: Document, after: Document) -> LackingSensors | None:
    """Return the live sensors that do not know what `after` uses and `before` does not; None where there are none."""
    used = used_features(after) - {LINEAGE}
    rejected = used - used_features(before)
    rejecting = _names(rejected)
    disabling = set[str]()
    if set(lineage_rules(after)) - set(lineage_rules(before)):
        # A sensor that rejects the policy, for what it used before too, keeps the one that it has: it disables nothing.
        disabling = _names(frozenset({LINEAGE})) - _names(used)
    if not rejecting and not disabling:
        return None
    words = tuple(words for name, words in FEATURES.items() if name in rejected)
    return LackingSensors(tuple(sorted(rejecting)), words, tuple(sorted(disabling)))


def _names(features: frozenset[str]) -> set[str]:
    if not features:
        return set()
    return {name for _, found in sensors_lacking.send(None, features=features) for name in found or ()}


def is_left_behind(typed: str) -> bool:
    """Return whether the typed confirmation accepts that sensors reject the policy."""
    return LEAVE_BEHIND in (phrase.strip() for phrase in typed.casefold().split(","))
