"""One integer key per class of events, so that PostgreSQL counts events without knowing the policies."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Hashable, Iterator, Sequence
from itertools import accumulate
from math import prod
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
    """A key is `base` plus these multiples of its file's, parent's and pod's numbers; 0 if one does not matter."""

    base: int
    file: int
    parent: int
    pod: int


class KeySpace:
    """Keys from 0 for every combination of workload, file, parent and pod classes that the policies may tell apart."""

    def __init__(
        self, outlooks: Sequence[PairResidual], files: Sequence[FileClass], parents: Sequence[int], pods: Sequence[int]
    ) -> None:
        """Take the classes of each in order of their numbers; parents and pods as the rules that hold for them."""
        self._outlooks, self._files, self._parents, self._pods = outlooks, files, parents, pods
        self._kinds_matter = any(file.seen != (True, True) for file in files)
        sizes = [prod(map(len, self._classes(each))) for each in outlooks]
        self._bases = [0, *accumulate(sizes)]

    def __len__(self) -> int:
        return self._bases[-1]

    def strides(self) -> list[Strides]:
        """Return the strides of each outlook, in order of their numbers."""
        found = []
        for base, outlook in zip(self._bases, self._outlooks, strict=False):
            files, parents, pods = (len(each) for each in self._classes(outlook))
            file = parents * pods if files > 1 else 0
            found.append(Strides(base, file, pods if parents > 1 else 0, 1 if pods > 1 else 0))
        return found

    def transition_numbers(self, table: TransitionTable) -> Iterator[int]:
        """Yield the transition of every key, in order."""
        for outlook in self._outlooks:
            files, parents, pods = self._classes(outlook)
            for file in files:
                for parent in parents:
                    for pod in pods:
                        yield table.number(outlook.rules & parent & pod, file)

    def transition_number(self, table: TransitionTable, key: int) -> int:
        """Return the transition of one key."""
        index = bisect_right(self._bases, key) - 1
        files, parents, pods = self._classes(self._outlooks[index])
        rest, pod = divmod(key - self._bases[index], len(pods))
        file, parent = divmod(rest, len(parents))
        return table.number(self._outlooks[index].rules & parents[parent] & pods[pod], files[file])

    def _classes(self, outlook: PairResidual) -> tuple[Sequence[FileClass], Sequence[int], Sequence[int]]:
        """Return the classes of file, parent and pod to tell apart; a single one where they make no difference."""
        return (
            self._files if (outlook.file or self._kinds_matter) and self._files else (ANY_FILE,),
            self._parents if outlook.parent else (EVERY_RULE,),
            [pod | ~outlook.open_pods for pod in self._pods] if outlook.open_pods else (EVERY_RULE,),
        )
