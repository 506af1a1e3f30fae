"""The interface between the capture backends and the agent."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from sensor.judgement.counters import CaptureCounters
    from sensor.wire import Container, Event


@dataclasses.dataclass(frozen=True)
class DoctorCheck:
    """One line of `sensor doctor`: what was checked, whether it is fine, and what to do if not."""

    name: str
    ok: bool
    advice: str = ""


class Capture(Protocol):
    """A source of drifted execs. The caller reads them, stores them durably, then commits."""

    @property
    def name(self) -> str:
        """ "ebpf", "fanotify", "replay", as the heartbeat reports it."""
        ...

    def read(self, timeout: float) -> list[Event]:
        """Drifted execs with complete facts and decision None; [] once `timeout` seconds passed."""
        ...

    def commit(self) -> None:
        """Release everything that `read` returned: the caller has it durably on disk."""
        ...

    def counters(self) -> CaptureCounters:
        """Return a snapshot of the counts so far."""
        ...

    def adopt(self, pid: int, container: Container) -> bool:
        """Name the mount namespace of a process that this sensor started for a container of its own.

        From any thread. False where the backend sees no execs of this node.
        """
        ...

    def detach(self) -> None:
        """End the capture of new execs, for a clean stop: execs seen so far can still be read and committed.

        Does nothing where the next sensor will read the rest.
        """
        ...

    def close(self, *, keep: bool | None = None) -> None:
        """Release the backend's resources; safe to call twice.

        `keep` True leaves uncommitted execs to the next sensor, where the backend can do that; False does not;
        None does as the backend was opened.
        """
        ...
