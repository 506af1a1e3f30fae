"""An index of rules by their conditions: finds those that another rule's conditions may imply.

Whether one rule covers another is a question for every pair of rules: half a million for a thousand rules. One lookup
in an index of all values leaves the few pairs that need to be compared.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from sensor.policy.globs import literal_end, literal_start, literals
from sensor.policy.implication import Condition, Value, implied_values
from sensor.policy.string_tables import RuleSet
from sensor.policy.value_index import ValueIndex

Conditions = Mapping[str, Sequence[Condition]]
"""By property, the conditions that a rule has, or that are known to hold: all of them together."""


class SubsumptionIndex:
    """The conditions of many rules, looked up by what is known to hold where another rule matches."""

    def __init__(self, rules: Sequence[Conditions]) -> None:
        self._everything: Final = (1 << len(rules)) - 1
        names = dict.fromkeys(name for conditions in rules for name in conditions)
        self._properties = {name: _PropertyIndex(name, rules) for name in names}

    def candidates(self, known: Conditions) -> RuleSet:
        """Return the rules whose conditions `known` may imply: every one that it does imply, and hardly another."""
        found = self._everything
        for name, index in self._properties.items():
            found &= index.maybe_implied(known.get(name, ())) | ~index.has
        return found


class _PropertyIndex:
    """The values that rules compare one property with; `has` are the rules with any."""

    def __init__(self, name: str, rules: Sequence[Conditions]) -> None:
        patterns = [
            (operator, string, 1 << position)
            for position, conditions in enumerate(rules)
            for condition in conditions.get(name, ())
            for operator, string in condition
        ]
        self._name = name
        self._index = ValueIndex(patterns)
        self.has = 0
        for _, _, rule in patterns:
            self.has |= rule

    def maybe_implied(self, known: Iterable[Condition]) -> RuleSet:
        """Return the rules with a value that some known value implies: without one, no condition is implied."""
        found = 0
        for condition in known:
            for value in condition:
                alike = implied_values(self._name, value)
                if alike is None:
                    return self.has
                for each in alike:
                    found |= self._implied(each)
        return found

    def _implied(self, value: Value) -> RuleSet:
        """Return the rules of every value that `implication.implies` finds, and of a few more patterns."""
        operator, string = value
        if operator == "equals":
            return self._index.matching(string)
        if operator == "matches":
            # Only what the pattern has in one piece is certain of the strings that it holds for.
            pieces = literals(string)
            found = self._index.globs.maybe_covering(pieces or [""])
            for piece in pieces:
                found |= self._index.containing.matching(piece)
            found |= self._index.starting.matching(literal_start(string))
            return found | self._index.ending.matching(literal_end(string)) | self._index.equal.get(string, 0)
        found = self._index.containing.matching(string) | self._index.globs.maybe_covering([string])
        if operator == "starts_with":
            found |= self._index.starting.matching(string)
        elif operator == "ends_with":
            found |= self._index.ending.matching(string)
        return found
