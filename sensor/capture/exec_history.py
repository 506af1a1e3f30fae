"""What containers executed lately, as the wire has it: read where one drifts (docs/detection.md#execution-history)."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Final, Protocol

from sensor.capture.exec_tracks import Cursor
from sensor.judgement.events import bounded_argv, utc_time
from sensor.names.escaping import safe_text
from sensor.names.event_ids import exec_event_id
from sensor.wire import ContainerExec, ExecAncestor

if TYPE_CHECKING:
    from collections.abc import Callable

    from sensor.capture.exec_tracks import ExecTracks, KeptExec

EXEC_HISTORY: Final = "exec-history"
"""Capability: the last execs of each container are kept."""
START: Final = Cursor()


@dataclasses.dataclass(frozen=True)
class ExecReading:
    """Execs by time, argv unmasked; how many between them are gone; and where the next reading goes on."""

    execs: tuple[ContainerExec, ...]
    missed: int
    cursor: Cursor


class ExecHistory(Protocol):
    """What a capture backend remembers of each container's execs."""

    def switch(self, *, on: bool) -> None:
        """Remember execs from now on, or none, and forget what was remembered."""
        ...

    def read(self, container_id: str, after: Cursor) -> ExecReading:
        """Return what a container executed since `after`, at most the last 64 and 16 from before it was known.

        Raises CaptureUnavailable.
        """
        ...


class KernelExecHistory:
    """The history that the kernel program keeps."""

    def __init__(
        self, tracks: ExecTracks, boot: str, booted_ns: Callable[[], int], on_switch: Callable[[], None]
    ) -> None:
        """Call `on_switch` after each switch: mount namespaces name the tracks from before it."""
        self.tracks = tracks
        self._boot, self._booted_ns, self._on_switch = boot, booted_ns, on_switch

    def switch(self, *, on: bool) -> None:
        """See `ExecHistory`."""
        if on != self.tracks.is_on:
            self.tracks.switch(on=on)
            self._on_switch()

    def read(self, container_id: str, after: Cursor) -> ExecReading:
        """See `ExecHistory`."""
        found = self.tracks.read(container_id, after)
        booted_ns = self._booted_ns()
        execs = tuple(self._container_exec(each, booted_ns) for each in found.execs)
        return ExecReading(execs, found.missed, found.cursor)

    def _container_exec(self, kept: KeptExec, booted_ns: int) -> ContainerExec:
        argv, is_cut = bounded_argv(kept.argv)
        above = [
            ExecAncestor(pid, utc_time(start_ns, booted_ns) if start_ns else None) for pid, start_ns in kept.ancestors
        ]
        return ContainerExec(
            # The same as that of the exec's event, where it drifted.
            exec_id=exec_event_id(self._boot, kept.pid, kept.start_ns, kept.time_ns),
            at=utc_time(kept.time_ns, booted_ns),
            pid=kept.pid,
            uid=kept.uid,
            started_at=utc_time(kept.start_ns, booted_ns) if kept.start_ns else None,
            path=safe_text(kept.path),
            path_truncated=kept.is_path_cut,
            argv=argv,
            argv_truncated=kept.is_argv_cut or is_cut,
            parent_name=safe_text(kept.parent_name),
            ancestors=above,
        )
