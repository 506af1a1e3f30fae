"""The smallest set of rules that keeps a budget: greedy, then a bounded search for fewer, with a lower bound.

Alerts that the same rules ignore are one *atom*: a tuple of rule sets (bits), each of which needs a chosen rule, since
an alert is gone only once each of its events is ignored. An atom's alerts are counted by day, packed in one integer:
so atoms are added up in one step, whatever the number of days.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import and_, or_
from typing import Final, NamedTuple

MAX_CHANGES: Final = 10
"""What a person reads and judges in one go."""
STEPS: Final = 20_000
"""Atoms that the search for fewer rules looks at, so that its time is bounded and its answer always the same."""
TOLERANCE: Final = 0.1
"""How much less a narrower rule may remove than the best, where that costs no further rule."""

BITS: Final = 32
"""Of a day's count."""
MASK: Final = (1 << BITS) - 1

Atoms = Mapping[tuple[int, ...], int]


def packed(day: int) -> int:
    """Return one alert of this day, to be added up."""
    return 1 << (BITS * day)


def packed_days(days: int) -> int:
    """Return one alert of each of these days, given as bits, to be added up."""
    return sum(packed(day) for day in _numbers(days))


class Cover(NamedTuple):
    """The chosen rules by number, in order; whether they do; and at least how many of the given ones any choice needs.

    Where `at_least` is how many were chosen, no smaller choice exists.
    """

    chosen: list[int]
    reached: bool
    at_least: int


class _Rest(NamedTuple):
    """What a choice leaves: the atoms that need further rules, each with the sets that do, and what has to go."""

    atoms: list[tuple[tuple[int, ...], int]]
    needs: list[int]


@dataclass
class CoverProblem:
    """Atoms, how many alerts have to go on each day (`needs`), and each rule's width, which decides between equals.

    `proceed` is called now and then, and raises where the run is cancelled.
    """

    atoms: Atoms
    needs: Sequence[int]
    widths: Sequence[int]
    proceed: Callable[[], object] = bool
    _steps: int = field(default=STEPS, init=False)
    _members: dict[int, list[int]] = field(default_factory=dict, init=False)

    def solve(self) -> Cover:
        """Return the best choice that was found."""
        if not any(need > 0 for need in self.needs):
            return Cover([], reached=True, at_least=0)
        choices = [self._pruned(self._greedy(tolerance)) for tolerance in (TOLERANCE, 0.0)]
        best = min(choices, key=lambda each: (not self._reaches(each), len(each), self._width(each), each))
        if not self._reaches(best):
            return Cover(best, reached=False, at_least=self._lower_bound())
        at_least = self._lower_bound()
        while len(best) > at_least:
            smaller = self._search([], self._rest(), len(best) - 1)
            if smaller is None:
                # A pair of rules that only together remove an alert is not looked for.
                if self._steps > 0 and all(len(sets) == 1 for sets in self.atoms):
                    at_least = len(best)
                break
            best = self._pruned(smaller)
        return Cover(best, reached=True, at_least=at_least)

    def remaining(self, chosen: Sequence[int]) -> list[int]:
        """Return how many alerts still have to go on each day."""
        bits = sum(1 << number for number in chosen)
        removed = sum(counts for sets, counts in self.atoms.items() if all(each & bits for each in sets))
        return self._less(self.needs, removed)

    def _less(self, needs: Sequence[int], removed: int) -> list[int]:
        return [max(0, need - count) for need, count in zip(needs, self._unpacked(removed), strict=True)]

    def _unpacked(self, counts: int) -> list[int]:
        return [counts >> (BITS * day) & MASK for day in range(len(self.needs))]

    def _reaches(self, chosen: Sequence[int]) -> bool:
        return not any(self.remaining(chosen))

    def _width(self, chosen: Sequence[int]) -> int:
        return sum(self.widths[number] for number in chosen)

    def _rest(self) -> _Rest:
        """Return what no choice at all leaves."""
        return _Rest(list(self.atoms.items()), list(self.needs))

    def _after(self, rest: _Rest, number: int) -> _Rest:
        """Return what one more rule leaves."""
        bit, removed = 1 << number, 0
        atoms = []
        for sets, counts in rest.atoms:
            missing = sets
            if any(each & bit for each in sets):
                missing = tuple(each for each in sets if not each & bit)
            if missing:
                atoms.append((missing, counts))
            else:
                removed += counts
        return _Rest(atoms, self._less(rest.needs, removed))

    def _greedy(self, tolerance: float) -> list[int]:
        chosen: list[int] = []
        rest = self._rest()
        while len(chosen) < MAX_CHANGES:
            gains = self._gains(rest)
            if not gains:
                break
            least = max(gains.values()) * (1 - tolerance)
            near = [number for number, gain in gains.items() if gain >= least]
            chosen.append(min(near, key=lambda number: (self.widths[number], -gains[number], number)))
            rest = self._after(rest, chosen[-1])
        return chosen

    def _pruned(self, chosen: list[int]) -> list[int]:
        """Return the choice without rules that it reaches as much without, the widest first."""
        left = self.remaining(chosen)
        for number in sorted(chosen, key=lambda each: (-self.widths[each], -each)):
            fewer = [each for each in chosen if each != number]
            if self.remaining(fewer) == left:
                chosen = fewer
        return chosen

    def _gains(self, rest: _Rest) -> dict[int, int]:
        """Return, for each further rule that removes needed alerts by itself, how many."""
        self.proceed()
        if not any(rest.needs):
            return {}
        removed: dict[int, int] = {}
        for sets, counts in rest.atoms:
            for number in self._rules(sets[0] if len(sets) == 1 else reduce(and_, sets)):
                removed[number] = removed.get(number, 0) + counts
        if len(rest.needs) == 1:
            (need,) = rest.needs
            return {number: min(need, removed[number]) for number in sorted(removed) if removed[number]}
        gains = {
            number: sum(map(min, rest.needs, self._unpacked(counts))) for number, counts in sorted(removed.items())
        }
        return {number: gain for number, gain in gains.items() if gain}

    def _rules(self, bits: int) -> list[int]:
        """Return the numbers of a set of rules."""
        known = self._members.get(bits)
        if known is None:
            known = self._members[bits] = _numbers(bits)
        return known

    def _lower_bound(self) -> int:
        """Return a number of rules below which no choice keeps the budget.

        Each alert counts for every rule that ignores any of its events, so k rules remove at most the k greatest.
        """
        totals: Counter[int] = Counter()
        for sets, counts in self.atoms.items():
            for number in self._rules(reduce(or_, sets)):
                totals[number] += counts
        by_rule = [self._unpacked(counts) for counts in totals.values()]
        bound = 1
        for day, need in enumerate(self.needs):
            greatest = sorted((counts[day] for counts in by_rule), reverse=True)
            needed, removed = 0, 0
            while removed < need and needed < len(greatest):
                removed += greatest[needed]
                needed += 1
            bound = max(bound, needed)
        return bound

    def _search(self, chosen: list[int], rest: _Rest, size: int) -> list[int] | None:
        """Return a choice of at most `size` rules with those in `chosen`; None where none is, or steps are used up.

        `rest` is what `chosen` leaves.
        """
        self._steps -= len(rest.atoms)
        if not any(rest.needs):
            return chosen
        if len(chosen) >= size or self._steps <= 0:
            return None
        gains = self._gains(rest)
        order = sorted(gains, key=lambda number: (-gains[number], self.widths[number], number))
        free, needed = size - len(chosen), sum(rest.needs)
        for place, number in enumerate(order):
            # The gains only fall as rules are added: these and the ones after cannot be enough.
            if sum(gains[each] for each in order[place : place + free]) < needed:
                return None
            found = self._search([*chosen, number], self._after(rest, number), size)
            if found is not None or self._steps <= 0:
                return found
        return None


def _numbers(bits: int) -> list[int]:
    found = []
    while bits:
        low = bits & -bits
        found.append(low.bit_length() - 1)
        bits ^= low
    return found
