"""Which of many rules ask for nothing that another rule's conditions do not seem to promise.

Whether one rule covers another is asked of every pair of rules: half a million times for a thousand rules. Here one
look at an index of all asked values leaves the few pairs that need to be compared.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from sensor.policy.implication import Condition, Value, stand_ins
from sensor.policy.index import Rules, TextIndex

Conditions = Mapping[str, Sequence[Condition]]
"""Property → what is asked of it, or known of it: all of these hold."""


class Wider:
    """What each of many rules asks for, looked up by what is known of another."""

    def __init__(self, asked: Sequence[Conditions]) -> None:
        self._everything: Final = (1 << len(asked)) - 1
        names = dict.fromkeys(name for conditions in asked for name in conditions)
        self._asking = {name: _Asking(name, asked) for name in names}

    def candidates(self, known: Conditions) -> Rules:
        """The rules whose conditions `known` may imply: every one that it does imply, and hardly another."""
        found = self._everything
        for name, asking in self._asking.items():
            found &= asking.maybe_implied(known.get(name, ())) | ~asking.has
        return found


class _Asking:
    """The values that rules ask of one property; `has` are the rules that ask any."""

    def __init__(self, name: str, asked: Sequence[Conditions]) -> None:
        patterns = [
            (operator, text, 1 << position)
            for position, conditions in enumerate(asked)
            for condition in conditions.get(name, ())
            for operator, text in condition
        ]
        self._name = name
        self._index = TextIndex(patterns)
        self.has = 0
        for _, _, rule in patterns:
            self.has |= rule

    def maybe_implied(self, known: Iterable[Condition]) -> Rules:
        """The rules with a value that some known value implies: conditions imply no other without that."""
        found = 0
        for condition in known:
            for value in condition:
                alike = stand_ins(self._name, value)
                if alike is None:
                    return self.has
                for each in alike:
                    found |= self._implied_by(each)
        return found

    def _implied_by(self, value: Value) -> Rules:
        """As `algebra.implies`, of all values at once."""
        operator, text = value
        if operator == "equals":
            return self._index.hits(text)
        found = self._index.containing.hits(text)
        if operator == "starts_with":
            found |= self._index.starting.hits(text)
        elif operator == "ends_with":
            found |= self._index.ending.hits(text)
        return found
