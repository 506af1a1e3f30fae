"""How much one container may take of what all share."""

from __future__ import annotations

import collections
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_PAYERS: Final = 4_096


class Budget:
    """What each payer may have: `burst` at once, and `per_second` in the long run; bytes or seconds. For one thread."""

    def __init__(self, per_second: float, burst: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_second, self._burst, self._clock = per_second, burst, clock
        self._left: collections.OrderedDict[str, tuple[float, float]] = collections.OrderedDict()

    def take(self, payer: str, amount: float) -> bool:
        """Whether `payer` may have so much now; it is taken off then."""
        left = self._now(payer)
        granted = amount <= left
        self._keep(payer, left - amount if granted else left)
        return granted

    def spend(self, payer: str, amount: float) -> None:
        """Take off what `payer` had already, more than it may have perhaps: then it gets nothing for a while."""
        self._keep(payer, self._now(payer) - amount)

    def _now(self, payer: str) -> float:
        left, since = self._left.get(payer, (self._burst, self._clock()))
        return min(self._burst, left + (self._clock() - since) * self._per_second)

    def _keep(self, payer: str, left: float) -> None:
        self._left[payer] = left, self._clock()
        self._left.move_to_end(payer)
        if len(self._left) > MAX_PAYERS:
            self._left.popitem(last=False)
