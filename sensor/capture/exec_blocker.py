"""The interface to what stops execs: the agent hands it to the backend, which knows nothing else of blocking."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from sensor.capture.block_tables import BlockTables

if TYPE_CHECKING:
    from sensor.container.identify import Resolved


class ExecBlocker(Protocol):
    """Stops execs through the tables of the kernel program, for as long as a backend captures."""

    @property
    def capabilities(self) -> tuple[str, ...]:
        """What works on this node now, as the heartbeat reports it."""
        ...

    def meet(self, resolved: Resolved) -> None:
        """Take note of the container of a mount namespace that was unknown to the kernel program. Any thread."""
        ...

    def close(self) -> None:
        """Stop blocking."""
        ...


StartBlocker = Callable[[BlockTables], ExecBlocker]
"""Starts a blocker on one backend's tables; raises OSError where this node can't block."""
