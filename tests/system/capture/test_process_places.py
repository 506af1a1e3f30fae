"""Where the kernel program keeps what it knows of a process: most at a place of their own, others in a hash map."""

from __future__ import annotations

import contextlib
import os
import signal
import struct
import time
from typing import TYPE_CHECKING, Final

import pytest

from sensor.capture.ebpf import EbpfCapture, open_ebpf
from sensor.capture.kernel_program import _host_namespace
from sensor.capture.older_processes import PLACES, ProcessMaps, note_older_processes
from sensor.container.podman import PodmanRuntime
from sensor.record import SessionOf
from tests.system.capture.bed import PATIENCE, Collector, ends_with
from tests.system.podman import SLOWNESS, Podman

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.container

PLACE: Final = struct.Struct("<II32xI12x")
"""A pid and its session, of `struct place`."""
PROCESS: Final = struct.Struct("<32xI12x")
NOBODY: Final = 1 << 30
"""No pid is as large."""
SLEEPERS: Final = "cp /bin/busybox /tmp/busybox-p; /tmp/busybox-p true {0}; sleep 1000 & echo $! > /tmp/{0}; wait"


class Kept:
    """The maps of a kernel program that runs."""

    def __init__(self, capture: EbpfCapture) -> None:
        kernel = capture._kernel
        self._libbpf = kernel._libbpf
        self.maps = ProcessMaps(*(kernel._fds.maps[name] for name in ProcessMaps._fields))

    def take_all_places(self) -> None:
        for number in range(PLACES):
            value = PLACE.pack(NOBODY | number, 0, SessionOf.UNKNOWN)
            self._libbpf.update(self.maps.places, number.to_bytes(4, "little"), value)

    def at_place(self, pid: int) -> int | None:
        """The session of a process that has a place."""
        value = self._libbpf.find(self.maps.places, (pid % PLACES).to_bytes(4, "little"), PLACE.size)
        assert value is not None
        owner, _, session = PLACE.unpack(value)
        return session if owner == pid else None

    def in_hash(self, pid: int) -> int | None:
        value = self._libbpf.find(self.maps.processes, pid.to_bytes(4, "little"), PROCESS.size)
        return int(PROCESS.unpack(value)[0]) if value is not None else None

    def note_older(self) -> None:
        note_older_processes(self._libbpf, self.maps, _host_namespace())


@pytest.fixture
def seen() -> Iterator[Collector]:
    collector = Collector(open_ebpf(runtimes=[PodmanRuntime()]))
    yield collector
    collector.close()


@pytest.fixture
def kept(seen: Collector) -> Kept:
    assert isinstance(seen.capture, EbpfCapture)
    return Kept(seen.capture)


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE * SLOWNESS
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def child(podman: Podman, name: str, word: str) -> int:
    """The pid, on the node, of the sleeper that a script of `SLEEPERS` has started."""
    rank = podman.shell(name, f"until [ -s /tmp/{word} ]; do sleep 0.1; done; cat /tmp/{word}").stdout.decode().strip()
    listed = podman.command("top", name, "hpid", "pid").stdout.decode().splitlines()[1:]
    return next(int(outer) for outer, inner in map(str.split, listed) if inner == rank)


@pytest.mark.parametrize("are_taken", [False, True], ids=["at places of their own", "where every place is taken"])
def test_children_inherit_their_session_and_are_forgotten(
    podman: Podman, seen: Collector, kept: Kept, are_taken: bool
) -> None:
    if are_taken:
        kept.take_all_places()
    name = podman.run(podman.image("places:1"), "sh", "-c", SLEEPERS.format("begun"))
    entered = podman.background("exec", name, "sh", "-c", SLEEPERS.format("came"))
    pids = [child(podman, name, word) for word in ("begun", "came")]
    sessions = [SessionOf.WORKLOAD, SessionOf.EXEC]

    found = [[ways(pid) for pid in pids] for ways in (kept.at_place, kept.in_hash)]

    assert found == ([[None, None], sessions] if are_taken else [sessions, [None, None]])
    told = [seen.first(ends_with(word)).process.provenance for word in ("begun", "came")]
    assert [each and each.session for each in told] == ["workload", "exec"]
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):  # the end of the first may have ended the container
            os.kill(pid, signal.SIGKILL)
    wait_until(lambda: all(kept.at_place(pid) is None and kept.in_hash(pid) is None for pid in pids))
    entered.wait()


def test_what_has_a_place_is_not_noted_again_as_an_older_process(podman: Podman, seen: Collector, kept: Kept) -> None:
    """The kernel looks there first, and at its end would forget it there alone."""
    name = podman.run(podman.image("places:1"), "sh", "-c", SLEEPERS.format("begun"))
    entered = podman.background("exec", name, "sh", "-c", SLEEPERS.format("came"))
    pid = child(podman, name, "came")

    kept.note_older()

    assert (kept.at_place(pid), kept.in_hash(pid)) == (SessionOf.EXEC, None)
    podman.rm(name)
    entered.wait()
