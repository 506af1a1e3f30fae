"""A container on a machine without a runtime, and the kernel program that watches it.

The container is made by tests/system/tools/writers.c, in namespaces of its own below an overlay.
"""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sensor.capture.kernel_program import open_kernel
from sensor.capture.programs import ProgramOptions
from sensor.container.identify import Resolved
from sensor.judgement.decide import Verdict
from sensor.judgement.events import make_event
from sensor.record import Flag, decode
from sensor.wire import Container, Event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sensor.record import Record
    from sensor.wire import ProcessProvenance

TOOL: Final = Path("/app/writers")
BOX: Final = Path("/box")
DISK: Final = Path("/dev/nvme0n1")
"""An empty ext4, where the machine has a disk."""
SETTLED: Final = 0.5
"""Seconds without a record after which a script has ended: the machine is slow."""
PATIENCE: Final = 20.0
RING_BYTES: Final = 1 << 20


class Bench:
    """The kernel program, and one container whose image is the directory `lower`.

    `owns_cgroup`: its cgroup is known as its own, as that of a runtime's container.
    """

    def __init__(self, lower: Path, ring_bytes: int = RING_BYTES, *, owns_cgroup: bool = False) -> None:
        self._owns_cgroup = owns_cgroup
        self._kernel = open_kernel(None, ProgramOptions(ring_bytes, libraries=False))
        (BOX / "root").mkdir()
        (BOX / "layer").mkdir()
        # As on a node: on a tmpfs a write shows only once the clock has ticked since the file was made.
        upper = ["ext4", DISK] if DISK.exists() else ["tmpfs", "upper"]
        subprocess.run(["mount", "-t", *upper, BOX / "layer"], check=True)
        for name in ("layer/upper", "layer/work"):
            (BOX / name).mkdir()
        layers = [lower, BOX / "layer/upper", BOX / "layer/work", BOX / "root"]
        self._shell = subprocess.Popen([TOOL, "box", *layers], stdin=subprocess.PIPE, bufsize=0)
        self.seen(lambda _: True)
        children = Path(f"/proc/{self._shell.pid}/task/{self._shell.pid}/children").read_text().split()
        self.pid = int(children[0])

    def type(self, line: str) -> None:
        """Have the container's own shell run a line."""
        assert self._shell.stdin is not None
        self._shell.stdin.write(f"{line}\n".encode())

    def enter(self, line: str) -> None:
        """Run a line as somebody does who enters the container from outside."""
        subprocess.run(["nsenter", "-t", str(self.pid), "-m", "-p", "/bin/sh", "-c", line], check=False)

    def seen(self, is_it: Callable[[Record], bool]) -> Record | None:
        """Wait for a record, and until no more come; None where none is like that."""
        deadline, found, last = time.monotonic() + PATIENCE, None, time.monotonic()
        while time.monotonic() < deadline and not (found and time.monotonic() - last > SETTLED):
            for record in self._records():
                last = time.monotonic()
                found = record if is_it(record) else found
        return found

    def drift_until(self, path: str, seconds: float) -> list[Event]:
        """Return the drift that the container runs before it runs the file at this path, or as long as that."""
        deadline, found = time.monotonic() + seconds, list[Event]()
        while time.monotonic() < deadline:
            for record in self._records():
                if record.path == path.encode():
                    return found
                found += drift_events(record)
        raise AssertionError(f"{path} did not run within {seconds} s")

    def _records(self) -> Iterator[Record]:
        for data in self._kernel.ring.records(64):
            record = decode(data)
            if record.flags & Flag.UNKNOWN_NAMESPACE:
                self._kernel.register(record.namespace_id, record.root_dev, owns_cgroup=self._owns_cgroup)
            yield record
        self._kernel.ring.commit()
        self._kernel.ring.wait(0.05)

    def provenance(self, target: str) -> ProcessProvenance | None:
        """Return what a policy may go by of the exec of a file; None where it was not seen."""
        record = self.seen(lambda each: each.path.endswith(target.encode()))
        return event_of(record, record.path).process.provenance if record is not None else None

    def answer(self, target: str) -> tuple[str | None, str | None] | None:
        """Return session and writer's origin of the exec of a file; None where it was not seen."""
        found = self.provenance(target)
        return (found.session, found.writer_origin) if found is not None else None


def event_of(record: Record, path: bytes) -> Event:
    """Return the event of a record as if the file that it ran, or opened, at this path were drift."""
    resolved = Resolved(Container(id="a1" * 32), complete=True, root_dev=record.root_dev, layers=None, pid=1)
    return make_event(record, resolved, Verdict("new_file", path, None, "gone", record.size), boot="", booted_ns=0)


def drift_events(record: Record) -> Iterator[Event]:
    """Yield an event for the program and for each script of a record that overlay has in its upper layer."""
    opened = [each for each in record.opened if each.flags & Flag.UPPER and not each.is_interpreter]
    if record.flags & (Flag.UPPER | Flag.MEMFD) or (not opened and record.dev != record.root_dev):
        yield event_of(record, record.path)
    for each in opened:
        yield event_of(record, b"/" + each.path.lstrip(b"/"))
