"""An alert's signals as they are stored, and the priorities that follow from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from drift.alerts.domain.priority_signals import Signal, explanation, priority


@dataclass(frozen=True)
class ScoredSignals:
    """`own`: of the execution, the rule and the lists. `estate`, `place`: of the content, everywhere and here alone."""

    own: Sequence[Signal]
    estate: Sequence[Signal]
    place: Sequence[Signal]

    @classmethod
    def read(cls, stored: Mapping[str, Any] | None) -> ScoredSignals:
        """Return the signals of a stored alert; none where it is not scored yet."""
        parts = stored or {}
        return cls(
            *([(name, argument) for name, argument in parts.get(part, ())] for part in ("own", "estate", "place"))
        )

    def as_json(self) -> dict[str, list[list[str]]]:
        """Return what is stored."""
        parts = {"own": self.own, "estate": self.estate, "place": self.place}
        return {name: [list(each) for each in signals] for name, signals in parts.items()}

    def seen(self, *, whole_estate: bool) -> list[Signal]:
        """Return the signals that a user may know: with a scope none of other namespaces."""
        return [*self.own, *(self.estate if whole_estate else self.place)]

    @property
    def priority(self) -> int:
        """The priority for users who see the whole estate."""
        return priority(self.seen(whole_estate=True))

    @property
    def scoped_priority(self) -> int:
        """The priority for users with a scope."""
        return priority(self.seen(whole_estate=False))

    def reasons(self, *, whole_estate: bool) -> str:
        """Return the reasons in one line."""
        return explanation(self.seen(whole_estate=whole_estate))
