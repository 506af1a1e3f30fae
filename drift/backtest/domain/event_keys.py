"""One integer key per class of events, so that PostgreSQL counts events without knowing the policies.

Beside its workload, an event has four parts that policies look at: file, parent, provenance and pod name. Each is
given by the number of its class, the workload by its outlook.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Hashable, Sequence
from functools import reduce
from itertools import accumulate, product
from math import prod
from operator import and_
from typing import Any, Final, NamedTuple

from drift.backtest.domain.transitions import ANY_FILE, EVERY_RULE, FileClass, TransitionTable
from sensor.policy import PairResidual


class Numbering:
    """Consecutive numbers for distinct keys, in order of appearance."""

    def __init__(self, *keys: Hashable) -> None:
        """Number `keys` first."""
        self._numbers: dict[Any, int] = {key: number for number, key in enumerate(keys)}

    def number(self, key: Hashable) -> int:
        """Return the key's number; a new key gets the next one."""
        return self._numbers.setdefault(key, len(self._numbers))

    @property
    def keys(self) -> list[Any]:
        return list(self._numbers)


class Parts(NamedTuple):
    """The classes of each part, in order of their numbers; those of all but files as the rules that hold for them."""

    files: Sequence[FileClass]
    parents: Sequence[int]
    provenances: Sequence[int]
    pods: Sequence[int]

    @property
    def kinds_matter(self) -> bool:
        return any(file.seen != (True, True) for file in self.files)


class Placing(NamedTuple):
    """How an outlook's events get their keys: from `base` and one number for each part (see the two spaces)."""

    base: int
    file: int
    parent: int
    provenance: int
    pod: int


class TooManyKeys(Exception):
    """A space of keys would exceed its bounds."""


class DenseKeys:
    """Keys from 0 for what the rules that each outlook leaves can tell apart; every key's transition is known.

    A thousand rules leave a workload a handful, which tell few files or parents apart, so that two arrays do: the key
    of an event is `placing.base` plus, for each part, `summands[part][placing.part + number]`.
    """

    def __init__(
        self,
        outlooks: Sequence[PairResidual],
        parts: Parts,
        table: TransitionTable,
        *,
        max_keys: int,
        max_summands: int,
    ) -> None:
        """Decide every key. Raises TooManyKeys."""
        self.placings: list[Placing] = []
        self.transitions: list[int] = []
        # Where a part makes no difference, it adds nothing.
        self.summands = [[0] * max(1, len(classes)) for classes in parts]
        self._max_summands = max_summands
        self._rows: dict[Hashable, tuple[int, list[Any]]] = {}
        kinds_matter = parts.kinds_matter
        for outlook in outlooks:
            starts, step, kept = [], 1, []
            # Files first: with the least steps, outlooks share their rows, which are the longest.
            for part, (rules, classes) in enumerate(zip(_looking(outlook), parts, strict=True)):
                is_needed = bool(rules or (kinds_matter and not part)) and bool(classes)
                start, different = self._row(part, rules, classes, step) if is_needed else (0, _UNDIVIDED[part])
                starts.append(start)
                kept.append(different)
                step *= len(different)
            if len(self.transitions) + step > max_keys:
                raise TooManyKeys
            self.placings.append(Placing(len(self.transitions), *starts))
            for *others, file in product(*reversed(kept)):
                self.transitions.append(table.number(reduce(and_, others, outlook.rules), file))

    def _row(self, part: int, rules: int, classes: Sequence[Any], step: int) -> tuple[int, list[Any]]:
        """Return where the summands of a part's classes begin, for these rules, and one class of each that differ."""
        known = self._rows.get((part, rules, step))
        if known is None:
            summands = self.summands[part]
            if sum(map(len, self.summands)) + len(classes) > self._max_summands:
                raise TooManyKeys
            different = Numbering()
            start = len(summands)
            summands += [step * different.number(_projected(each, rules)) for each in classes]
            known = self._rows[part, rules, step] = start, different.keys
        return known


class SparseKeys:
    """Keys for every combination of classes, of which few may occur: `placing.base` plus the numbers' multiples."""

    def __init__(self, outlooks: Sequence[PairResidual], parts: Parts) -> None:
        self._outlooks, self._parts = outlooks, parts
        self._kinds_matter = parts.kinds_matter
        sizes = [prod(map(len, self._classes(each))) for each in outlooks]
        self._bases = [0, *accumulate(sizes)]

    @property
    def placings(self) -> list[Placing]:
        """How each outlook's events get their keys: by multiples, 0 where a part does not matter."""
        found = []
        for base, outlook in zip(self._bases, self._outlooks, strict=False):
            sizes = [len(each) for each in self._classes(outlook)]
            steps = [prod(sizes[place + 1 :]) if size > 1 else 0 for place, size in enumerate(sizes)]
            found.append(Placing(base, *steps))
        return found

    def transition_number(self, table: TransitionTable, key: int) -> int:
        """Return the transition of one key."""
        index = bisect_right(self._bases, key) - 1
        files, *others = self._classes(self._outlooks[index])
        rules, rest = self._outlooks[index].rules, key - self._bases[index]
        for classes in reversed(others):
            rest, place = divmod(rest, len(classes))
            rules &= classes[place]
        return table.number(rules, files[rest])

    def _classes(self, outlook: PairResidual) -> list[Sequence[Any]]:
        """Return the classes of each part; a single one where they make no difference."""
        files, parents, provenances, pods = self._parts
        return [
            files if (outlook.file or self._kinds_matter) and files else (ANY_FILE,),
            parents if outlook.parent else (EVERY_RULE,),
            provenances if outlook.provenance else (EVERY_RULE,),
            [pod | ~outlook.open_pods for pod in pods] if outlook.open_pods else (EVERY_RULE,),
        ]


_UNDIVIDED: Final[tuple[list[Any], ...]] = ([ANY_FILE], [EVERY_RULE], [EVERY_RULE], [EVERY_RULE])


def _looking(outlook: PairResidual) -> tuple[int, int, int, int]:
    """Return the rules that still look at each part."""
    return outlook.file, outlook.parent, outlook.provenance, outlook.open_pods


def _projected(each: FileClass | int, rules: int) -> FileClass | int:
    """Return what these rules see of a class: all others hold for it."""
    if isinstance(each, FileClass):
        return FileClass(each.passing | ~rules, each.listed & rules, each.seen)
    return each | ~rules
