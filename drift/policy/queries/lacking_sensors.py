"""The live sensors that would reject a policy, since it uses what they do not know yet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from drift.policy.domain.edits import Document
from drift.policy.signals import sensors_lacking
from sensor.policy.features import FEATURES, used_features

LEAVE_BEHIND: Final = "leave sensors behind"
"""What a person types to save a policy that some live sensors reject."""
SHOWN: Final = 5


@dataclass(frozen=True)
class LackingSensors:
    """Live sensors, by name, and the features in words that the policy uses and they do not know."""

    names: tuple[str, ...]
    features: tuple[str, ...]

    @property
    def words(self) -> str:
        """Return who lacks what, in one sentence."""
        count = len(self.names)
        shown = ", ".join(self.names[:SHOWN]) + (f" and {count - SHOWN} more" if count > SHOWN else "")
        who = "1 live sensor does" if count == 1 else f"{count} live sensors do"
        kept = "It keeps its" if count == 1 else "They keep their"
        return f"{who} not know {' and '.join(self.features)}: {shown}. {kept} present policy until upgraded."


def lacking_sensors(before: Document, after: Document) -> LackingSensors | None:
    """Return the live sensors that reject `after` for what it uses and `before` does not; None where there are none."""
    new = used_features(after) - used_features(before)
    if not new:
        return None
    names = {name for _, found in sensors_lacking.send(None, features=new) for name in found or ()}
    if not names:
        return None
    return LackingSensors(tuple(sorted(names)), tuple(words for name, words in FEATURES.items() if name in new))


def is_left_behind(typed: str) -> bool:
    """Return whether the typed confirmation accepts that sensors reject the policy."""
    return LEAVE_BEHIND in (phrase.strip() for phrase in typed.casefold().split(","))
