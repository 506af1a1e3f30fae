"""One integer key per class of events, so that PostgreSQL counts events without knowing the policies."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Hashable, Iterator, Sequence
from functools import reduce
from itertools import accumulate, product
from math import prod
from operator import and_
from typing import Any, NamedTuple

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


class Strides(NamedTuple):
    """A key is `base` plus these multiples of the numbers of its file, parent and so on; 0 if one does not matter."""

    base: int
    file: int
    parent: int
    provenance: int
    pod: int


class KeySpace:
    """Keys from 0 for every combination of the classes of an event's parts that the policies may tell apart."""

    def __init__(
        self,
        outlooks: Sequence[PairResidual],
        files: Sequence[FileClass],
        parents: Sequence[int],
        provenances: Sequence[int],
        pods: Sequence[int],
    ) -> None:
        """Take the classes of each in order of their numbers; parents and so on as the rules that hold for them."""
        self._outlooks, self._files, self._parents, self._pods = outlooks, files, parents, pods
        self._provenances = provenances
        self._kinds_matter = any(file.seen != (True, True) for file in files)
        sizes = [prod(map(len, self._classes(each))) for each in outlooks]
        self._bases = [0, *accumulate(sizes)]

    def __len__(self) -> int:
        return self._bases[-1]

    def strides(self) -> list[Strides]:
        """Return the strides of each outlook, in order of their numbers."""
        found = []
        for base, outlook in zip(self._bases, self._outlooks, strict=False):
            sizes = [len(each) for each in self._classes(outlook)]
            steps = [prod(sizes[place + 1 :]) if size > 1 else 0 for place, size in enumerate(sizes)]
            found.append(Strides(base, *steps))
        return found

    def transition_numbers(self, table: TransitionTable) -> Iterator[int]:
        """Yield the transition of every key, in order."""
        for outlook in self._outlooks:
            for file, *others in product(*self._classes(outlook)):
                yield table.number(reduce(and_, others, outlook.rules), file)

    def transition_number(self, table: TransitionTable, key: int) -> int:
        """Return the transition of one key."""
        index = bisect_right(self._bases, key) - 1
        files, *others = self._classes(self._outlooks[index])
        rules, rest = self._outlooks[index].rules, key - self._bases[index]
        for classes in reversed(others):
            rest, place = divmod(rest, len(classes))
            rules &= classes[place]
        return table.number(rules, files[rest])

    def _classes(
        self, outlook: PairResidual
    ) -> tuple[Sequence[FileClass], Sequence[int], Sequence[int], Sequence[int]]:
        """Return the classes of file, parent, provenance and pod; a single one where they make no difference."""
        return (
            self._files if (outlook.file or self._kinds_matter) and self._files else (ANY_FILE,),
            self._parents if outlook.parent else (EVERY_RULE,),
            self._provenances if outlook.provenance else (EVERY_RULE,),
            [pod | ~outlook.open_pods for pod in self._pods] if outlook.open_pods else (EVERY_RULE,),
        )
