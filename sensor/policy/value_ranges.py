"""What can be said of many texts at once, of which only the first and the last in order are known.

Whatever sorts between two texts begins with what both begin with. So the least and the greatest pod name of a
workload say what all its pods' names begin with, and that settles most values of most rules for all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

FROM_START: Final = ("starts_with", "equals")
Value = tuple[str, str]
"""An operator and a text, folded where its property is."""


@dataclass(frozen=True, slots=True)
class Span:
    """Some texts, folded: what all begin with, and how many letters may follow; `rest` 0: there is only this one."""

    prefix: str
    rest: int

    @classmethod
    def of(cls, first: str, last: str, most_bytes: int, is_ascii: bool) -> Span:  # noqa: FBT001 - a column of a row
        """The texts from `first` to `last` in the order of their code points, none of more than `most_bytes` in UTF-8.

        Folding turns a letter into at most three, and then it had two bytes or more; in ASCII it stays one.
        """
        if first == last:
            return cls(first.casefold(), 0)
        shared = zip(first, last, strict=False)
        prefix = first[: next((place for place, (one, other) in enumerate(shared) if one != other), len(first))]
        rest = most_bytes - len(prefix.encode())
        return cls(prefix.casefold(), rest if is_ascii else rest * 3 // 2)

    def settles(self, values: Iterable[Value]) -> bool | None:
        """Whether any of the values holds: True or False for every one of the texts, None where they may differ."""
        answer: bool | None = False
        known, rest = self.prefix, self.rest
        for operator, text in values:
            # Nearly every value is far from what is known, which one look tells.
            if operator in FROM_START:
                near = known.startswith(text) or text.startswith(known)
            else:
                near = text[: max(0, len(text) - rest)] in known
            holds = self._settles(operator, text) if near else False
            if holds:
                return True
            if holds is None:
                answer = None
        return answer

    def _settles(self, operator: str, text: str) -> bool | None:
        known = self.prefix
        if operator == "starts_with" and known.startswith(text):
            return True
        if operator == "contains" and text in known:
            return True
        if not self.rest:
            return known.endswith(text) if operator == "ends_with" else operator == "equals" and known == text
        if operator in FROM_START:
            return None if text.startswith(known) and len(text) - len(known) <= self.rest else False
        return None if self._may_end(text) else False

    def _may_end(self, text: str) -> bool:
        """Whether `text` may stand where it reaches into what is not known, or up to its beginning."""
        within = len(text) - self.rest
        return within <= 0 or any(self.prefix.endswith(text[:size]) for size in range(within, len(text) + 1))


def settle(span: Span, conditions: Sequence[Sequence[Value]]) -> bool | None:
    """Whether every condition holds: True or False for all texts of the span, None where they may differ."""
    answers = [span.settles(values) for values in conditions]
    if False in answers:
        return False
    return None if None in answers else True
