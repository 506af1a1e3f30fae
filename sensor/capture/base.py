"""What every capture backend gives the agent."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from sensor.wire import Container, Event


class CaptureUnavailable(RuntimeError):
    """This backend can't run on this node; the message is one line that says why."""


@dataclasses.dataclass
class CaptureCounters:
    """Since the backend was opened.

    `execs` in containers, `drifted` of them, `unresolved` drifted ones whose container is not
    known; `lost` counts by cause, such as "ring" for a full ring buffer; `unknown` are events of which
    something could not be learned any more: "argv", or all of the "process".
    """

    execs: int = 0
    drifted: int = 0
    unresolved: int = 0
    lost: dict[str, int] = dataclasses.field(default_factory=dict)
    unknown: dict[str, int] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Check:
    """One line of `sensor doctor`: what was looked at, whether it is fine, and what to do if not."""

    name: str
    ok: bool
    advice: str = ""


class Capture(Protocol):
    """A source of drifted execs. The way round: read, store durably, commit."""

    @property
    def name(self) -> str:
        """ "ebpf", "fanotify", "replay", as the heartbeat reports it."""
        ...

    def read(self, timeout: float) -> list[Event]:
        """Drifted execs with complete facts and decision None; [] once `timeout` seconds passed."""
        ...

    def commit(self) -> None:
        """Let go of everything that `read` returned: the caller has it durably on disk."""
        ...

    def counters(self) -> CaptureCounters:
        """A snapshot of the counts so far."""
        ...

    def adopt(self, pid: int, container: Container) -> bool:
        """Take the mount namespace of a process that this sensor started for a container of its own.

        From any thread. False where the backend sees no execs of this node.
        """
        ...

    def detach(self) -> None:
        """End the capture of new execs, for a clean stop: what was seen until now can still be read and committed.

        Does nothing where the next sensor will read it.
        """
        ...

    def close(self, *, keep: bool | None = None) -> None:
        """Release what the backend holds; safe to call twice.

        `keep` True leaves what was not committed to the next sensor, where the backend can do that; False
        does not; None as the backend was opened.
        """
        ...
