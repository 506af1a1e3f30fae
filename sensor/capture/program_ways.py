"""The ways to run the kernel program, best first: where a kernel refuses one, the next is tried."""

from __future__ import annotations

import dataclasses
import logging
from typing import TYPE_CHECKING, Final, Protocol

from sensor.capture.errors import CaptureUnavailable
from sensor.capture.programs import FAULTS
from sensor.policy.properties import (
    SESSION_CAPABILITY,
    WRITER_CAPABILITY,
    WRITER_LINEAGE_CAPABILITY,
    WRITER_ORIGIN_CAPABILITY,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sensor.capture.libbpf import KernelObjects
    from sensor.capture.programs import ProgramOptions

log = logging.getLogger(__name__)

RECORD: Final = "record"
"""Capability: the kernel program keeps the record of writers."""
RECORD_OPENS: Final = "record-opens"
"""Capability: it has every open for writing, on every filesystem."""


@dataclasses.dataclass(frozen=True)
class Way:
    """One way: its name in the log, the programs that it loads, its capabilities, and what it lacks in words."""

    name: str
    options: ProgramOptions
    capabilities: tuple[str, ...] = ()
    lacks: str = ""


class Prober(Protocol):
    """What `Libbpf` finds out of a kernel."""

    def record_functions(self) -> tuple[str, ...]:
        """Return the programs that keep the record of writers by functions; none where they can't be traced."""
        ...

    def record_tracepoints(self) -> tuple[str, ...]:
        """Return those that keep it by tracepoints; none where the kernel lacks one."""
        ...

    def read_programs(self, *, by_functions: bool) -> tuple[str, ...]:
        """Return the programs that see what interpreters read."""
        ...


@dataclasses.dataclass(frozen=True)
class Started:
    """The program as it runs: in which way, its objects, and why in no better one."""

    way: Way
    objects: KernelObjects
    reasons: tuple[str, ...] = ()

    @property
    def limits(self) -> str:
        """What does not work here, with the reasons; empty where all does."""
        return "; ".join((self.way.lacks, *self.reasons)) if self.way.lacks else ""


def ways(kernel: Prober, options: ProgramOptions) -> list[Way]:
    """Return what to try on this kernel. The last way is the least that captures execs."""
    found = []
    if functions := kernel.record_functions():
        chosen = _with(kernel, options, functions, by_functions=True)
        facts = (SESSION_CAPABILITY, WRITER_CAPABILITY, WRITER_ORIGIN_CAPABILITY, WRITER_LINEAGE_CAPABILITY)
        found.append(Way("by functions", chosen, (RECORD, RECORD_OPENS, *facts)))
    if tracepoints := kernel.record_tracepoints():
        chosen = _with(kernel, options, tracepoints, by_functions=False)
        chosen = dataclasses.replace(chosen, faults=tuple(FAULTS))
        lacks = (
            "opens of files for writing are not recorded, writes on ext4 alone, and no writer is known as the image's"
        )
        # Where nobody sees writers at all, a record of writes names none.
        writer = (WRITER_CAPABILITY,) if options.writers else ()
        found.append(Way("by tracepoints", chosen, (RECORD, SESSION_CAPABILITY, *writer), lacks))
    chosen = _with(kernel, options, (), by_functions=False)
    lacks = "who writes to a file is not recorded: no verdict is remembered, and hashes of images' own files alone"
    found.append(Way("without a record of writers", chosen, (SESSION_CAPABILITY,), lacks))
    least = dataclasses.replace(options, record=(), reads=(), writers=False, mappings=(), keeper="", followers=())
    lacks += "; nor who wrote a file, what interpreters read, which loader a program has, and what ran around it"
    found.append(Way("for execs alone", least, (), lacks))
    return found


def _with(kernel: Prober, options: ProgramOptions, record: tuple[str, ...], *, by_functions: bool) -> ProgramOptions:
    # What is read needs the helper that the programs need which see writers.
    reads = kernel.read_programs(by_functions=by_functions) if options.writers else ()
    return dataclasses.replace(options, record=record, reads=reads)


def start(tried: Sequence[Way], load: Callable[[ProgramOptions], KernelObjects]) -> Started:
    """Load and attach in the first way that this kernel accepts; raises CaptureUnavailable where it accepts none."""
    reasons: list[str] = []
    for way in tried:
        try:
            objects = load(way.options)
        except (CaptureUnavailable, OSError) as error:
            reasons.append(f"not {way.name}: {error}")
            continue
        started = Started(way, objects, tuple(reasons))
        if started.limits:
            log.warning("The kernel program runs %s: %s", way.name, started.limits)
        return started
    # The last way asks for the least: what is in its way is what to mend.
    raise CaptureUnavailable(reasons[-1].partition(": ")[2])
