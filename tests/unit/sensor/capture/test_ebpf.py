"""The eBPF backend's loop, with stand-ins for the kernel and for the examination of each exec."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import pytest

from sensor.capture import ebpf
from sensor.capture.ebpf import EbpfCapture
from sensor.capture.exec_tracks import NO_TRACK, ExecTracks, Track
from sensor.container.identify import ContainerEvidence, NotAContainer, Resolved
from sensor.files.handles import OpenFile
from sensor.judgement.decide import ExecFacts, FileFacts, Origin
from sensor.record import Flag, Record
from sensor.wire import Container
from tests.unit.sensor.records import encoded
from tests.unit.sensor.track_maps import FakeTrackMaps

ROOT = 40


class FakeRing:
    """Returns the records that were put into it; counts what was committed."""

    def __init__(self) -> None:
        self.waiting: list[bytes] = []
        self.taken = 0
        self.committed = 0

    def records(self, most: int) -> Iterator[bytes]:
        for _ in range(min(most, len(self.waiting))):
            self.taken += 1
            yield self.waiting.pop(0)

    def ahead(self, most: int) -> list[bytes]:
        return self.waiting[:most]

    def wait(self, timeout: float) -> None:
        """Return at once: nothing arrives meanwhile."""

    def commit(self) -> None:
        self.committed = self.taken

    def uncommitted(self) -> int:
        return self.taken - self.committed + len(self.waiting)


class FakeKernel:
    def __init__(self) -> None:
        self.ring = FakeRing()
        self.limits = "said by the kernel"
        self.capabilities: tuple[str, ...] = ()
        self.registered: list[tuple[int, int | None]] = []
        self.owning: list[bool] = []
        self.tracks: list[Track] = []
        self.maps = FakeTrackMaps()
        self.unpinned: bool | None = None
        self.attached = True
        self.misses_page_faults = True

    def follow_page_faults(self) -> None:
        assert not self.registered, "what is found of a container's files may be remembered by then"
        self.misses_page_faults = False

    def register(
        self, namespace_id: int, root_dev: int | None, *, owns_cgroup: bool = False, track: Track = NO_TRACK
    ) -> None:
        self.registered.append((namespace_id, root_dev))
        self.owning.append(owns_cgroup)
        self.tracks.append(track)

    def exec_tracks(self) -> ExecTracks:
        return self.maps.tracks()

    def counts(self) -> dict[str, int]:
        return {"execs": self.ring.taken, "lost": 0}

    def detach(self) -> None:
        self.attached = False

    def booted_ns(self) -> int:
        return 0

    def close(self, *, unpin: bool) -> None:
        self.unpinned = unpin


class FakeIdentifier:
    """Finds every process in the same container."""

    def __init__(self, root_dev: int = ROOT) -> None:
        self.root_dev = root_dev
        self.raises: Exception | None = None

    def resolve(self, sighting: ContainerEvidence) -> Resolved:
        if self.raises is not None:
            raise self.raises
        return Resolved(Container(id="a1" * 32), complete=True, root_dev=self.root_dev, layers=None, pid=1)


class FakeGatherer:
    """Finds drift in every exec, and raises for names that end in `hostile`."""

    def knows(self, record: Record) -> bool:
        return record.path.endswith(b"known")

    def gather(self, record: Record, resolved: Resolved, running: OpenFile | None, opened: object) -> ExecFacts:
        if record.path.endswith(b"hostile"):
            raise ValueError("not enough values to unpack")
        return ExecFacts(FileFacts(record.path, Origin.UPPER_LAYER), record.path)


@dataclasses.dataclass
class Bench:
    kernel: FakeKernel
    identifier: FakeIdentifier
    capture: EbpfCapture

    def put(self, *paths: bytes, flags: int = Flag.UPPER) -> None:
        self.kernel.ring.waiting += [encoded(path=path, flags=flags) for path in paths]


@pytest.fixture
def bench() -> Bench:
    kernel, identifier = FakeKernel(), FakeIdentifier()
    capture = EbpfCapture(kernel, identifier, FakeGatherer(), keep_pins=False)  # type: ignore[arg-type]
    return Bench(kernel, identifier, capture)


class TestHostileExecs:
    def test_an_exec_that_raises_an_unexpected_error_is_counted_and_the_next_one_is_read(self, bench: Bench) -> None:
        bench.put(b"/tmp/hostile", b"/tmp/known")
        assert [event.process.path for event in bench.capture.read(0)] == ["/tmp/known"]
        assert bench.capture.counters().lost == {"error": 1}

    def test_a_kill_is_reported_whatever_happens_to_its_facts(self, bench: Bench) -> None:
        bench.put(b"/tmp/hostile", flags=Flag.UPPER | Flag.LOWER | Flag.KILLED)
        (event,) = bench.capture.read(0)
        assert (event.kind, event.process.path, event.outcome) == ("replaced", "/tmp/hostile", "blocked")

    def test_an_exec_is_still_decided_if_its_executable_cannot_be_opened(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fails(_: Record) -> OpenFile:
            raise ValueError("not enough values to unpack")

        monkeypatch.setattr(ebpf, "open_running", fails)
        bench.put(b"/tmp/x")
        assert [event.process.path for event in bench.capture.read(0)] == ["/tmp/x"]


class TestRegistration:
    def test_a_root_is_registered_when_its_namespace_is_first_seen(self, bench: Bench) -> None:
        bench.put(b"/tmp/known", flags=Flag.UPPER | Flag.UNKNOWN_NAMESPACE)
        bench.put(b"/tmp/known")
        bench.capture.read(0)
        assert [root for _, root in bench.kernel.registered] == [ROOT]

    def test_a_corrected_root_reaches_the_kernel(self, bench: Bench) -> None:
        bench.put(b"/tmp/known", flags=Flag.UPPER | Flag.UNKNOWN_NAMESPACE)
        bench.capture.read(0)
        bench.identifier.root_dev = ROOT + 1
        bench.put(b"/tmp/known")
        bench.capture.read(0)
        assert [root for _, root in bench.kernel.registered] == [ROOT, ROOT + 1]

    @pytest.mark.parametrize(("cgroup", "owns"), [(b"cri-containerd-" + b"a1" * 32 + b".scope", True), (b"app", False)])
    def test_a_cgroup_belongs_to_the_container_that_it_is_named_after(
        self, bench: Bench, cgroup: bytes, owns: bool
    ) -> None:
        """Several containers may share an unnamed one (`podman run --cgroups=disabled`)."""
        flags = Flag.UPPER | Flag.UNKNOWN_NAMESPACE
        bench.kernel.ring.waiting.append(encoded(path=b"/tmp/known", flags=flags, cgroup=cgroup + b"\0pods\0"))
        bench.capture.read(0)
        assert bench.kernel.owning == [owns]

    def test_a_cgroup_does_not_belong_to_the_container_after_an_exec_from_outside(self, bench: Bench) -> None:
        """The kernel program maps the namespace to that cgroup, and would attribute all of it to the container."""
        flags = Flag.UPPER | Flag.UNKNOWN_NAMESPACE
        for cgroup in (b"runtime.service", b"a1" * 32):
            bench.kernel.ring.waiting.append(encoded(path=b"/tmp/known", flags=flags, cgroup=cgroup + b"\0top\0"))
        bench.capture.read(0)
        assert bench.kernel.owning == [False, False]

    @pytest.mark.parametrize("settled", [True, False])
    def test_a_namespace_is_ignored_only_once_that_is_certain(self, bench: Bench, settled: bool) -> None:
        bench.identifier.raises = NotAContainer(settled=settled)
        bench.put(b"/tmp/known", flags=Flag.UPPER | Flag.UNKNOWN_NAMESPACE)
        assert bench.capture.read(0) == []
        assert [root for _, root in bench.kernel.registered] == ([None] if settled else [])


def test_it_reports_whether_it_monitors_libraries() -> None:
    made = (FakeKernel(), FakeIdentifier(), FakeGatherer())
    for libraries, capabilities in ((True, ("library", "exec-history")), (False, ("exec-history",))):
        capture = EbpfCapture(*made, keep_pins=False, libraries=libraries)  # type: ignore[arg-type]
        assert capture.capabilities == capabilities


class TestClosing:
    def test_records_left_in_the_ring_at_a_clean_stop_are_counted(self, bench: Bench) -> None:
        bench.put(b"/tmp/known", b"/tmp/known")
        bench.capture.read(0)
        bench.put(b"/tmp/known")
        bench.capture.close()
        assert bench.capture.counters().lost == {"ring": 3}
        assert bench.kernel.unpinned

    def test_records_read_and_committed_after_detaching_are_not_lost(self, bench: Bench) -> None:
        bench.put(b"/tmp/known")
        bench.capture.detach()
        assert not bench.kernel.attached
        assert len(bench.capture.read(0)) == 1
        bench.capture.commit()
        bench.capture.close()
        assert bench.capture.counters().lost == {}

    def test_after_an_error_all_records_stay_for_the_next_sensor(self, bench: Bench) -> None:
        bench.put(b"/tmp/known")
        bench.capture.read(0)
        bench.capture.close(keep=True)
        assert (bench.kernel.attached, bench.kernel.unpinned) == (True, False)
        assert bench.capture.counters().lost == {}
