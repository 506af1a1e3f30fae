"""What a container executed is reported around its drift: before it, and for ten minutes after."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from sensor import wire
from sensor.agent.exec_reporter import (
    AFTER_SECONDS,
    CONTAINER_EXECS,
    CONTAINERS,
    LOST,
    NEW_AGAIN_SECONDS,
    NODE_EXECS_PER_HOUR,
    ExecReporter,
)
from sensor.capture.errors import CaptureUnavailable
from sensor.capture.exec_history import KernelExecHistory
from sensor.delivery.spool import Spool
from sensor.names.masking import Masker
from tests.unit.sensor.makers import make_event
from tests.unit.sensor.track_maps import FakeTrackMaps

if TYPE_CHECKING:
    from pathlib import Path

    from sensor.capture.exec_tracks import ExecTracks

BOOT = "3a1c0f5e-0000-4000-8000-000000000000"


@dataclasses.dataclass
class Bench:
    """A reporter over the kernel's maps, with a clock that tests move."""

    directory: Path
    maps: FakeTrackMaps = dataclasses.field(default_factory=FakeTrackMaps)
    now: float = 1_000.0
    boot: str = BOOT

    def __post_init__(self) -> None:
        self.start()

    def start(self, spool_bytes: int = 1 << 23) -> None:
        """Start a sensor; the kernel's maps are those of the one before."""
        self.tracks: ExecTracks = self.maps.tracks()
        self.history: KernelExecHistory | None = KernelExecHistory(self.tracks, BOOT, lambda: 0, lambda: None)
        self.spool = Spool(self.directory / "execs", spool_bytes)
        self.reporter = ExecReporter(
            lambda: self.history,
            self.spool,
            Masker(),
            path=self.directory / "followed.json",
            boot=self.boot,
            clock=lambda: self.now,
        )

    def on(self) -> Bench:
        self.reporter.switch(True)
        self.reporter.step()
        return self

    def execute(self, container: str, times: int = 1, **fields: object) -> None:
        self.maps.execute(self.tracks.give(container), times, **fields)

    def later(self, seconds: float = 2.0) -> None:
        self.now += seconds
        self.reporter.step()

    def reports(self) -> list[wire.ExecReport]:
        """Take the reports off the spool."""
        found = []
        while segment := self.spool.oldest():
            found += [wire.decode_exec_report(line) for line in segment.lines()]
            self.spool.drop(segment)
        return found

    def paths(self) -> list[str]:
        return [each.path for report in self.reports() for each in report.execs]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def drift(number: int = 1, container: str | None = None, **process: Any) -> wire.Event:
    event = make_event(number, **process)
    if container is not None:
        event.container.id = container
    return event


WEB = make_event().container.id


def test_what_ran_before_is_reported_at_once_and_what_runs_next_for_ten_minutes(bench: Bench) -> None:
    bench.on().execute(WEB, 3)
    bench.reporter.note(drift())
    assert bench.paths() == ["/bin/tool-1", "/bin/tool-2", "/bin/tool-3"]
    bench.execute(WEB)
    bench.later(AFTER_SECONDS - 5)
    assert bench.paths() == ["/bin/tool-4"]
    bench.execute(WEB)
    bench.later(10)
    assert bench.paths() == ["/bin/tool-5"]
    bench.execute(WEB)
    bench.later()
    assert bench.paths() == []


def test_containers_that_do_not_drift_are_never_reported(bench: Bench) -> None:
    bench.on().execute("other")
    bench.execute(WEB)
    bench.reporter.note(drift())
    bench.later()
    assert {report.container_id for report in bench.reports()} == {WEB}


def test_a_fingerprint_that_was_reported_lately_starts_nothing(bench: Bench) -> None:
    bench.on().execute(WEB)
    bench.reporter.note(drift())
    bench.later(AFTER_SECONDS + 1)
    bench.reports()
    bench.execute(WEB)
    bench.reporter.note(drift())
    bench.later()
    assert bench.reports() == []
    bench.reporter.note(drift(path="/tmp/another", sha256="0" * 64))
    assert bench.paths() == ["/bin/tool-2"]


def test_an_hour_later_a_fingerprint_is_new_again(bench: Bench) -> None:
    bench.on().execute(WEB)
    bench.reporter.note(drift())
    bench.later(NEW_AGAIN_SECONDS + 1)
    bench.reports()
    bench.execute(WEB)
    bench.reporter.note(drift())
    assert bench.paths() == ["/bin/tool-2"]


def test_secrets_are_masked_before_they_reach_the_disk(bench: Bench) -> None:
    bench.on().execute(WEB, argv=b"mysql\0-phunter2\0--token\0s3cr3tvalue\0https://u:pw99@db/\0")
    bench.reporter.note(drift())
    (segment,) = [bench.spool.oldest()]
    assert segment is not None
    raw = b"".join(segment.lines())
    for secret in (b"hunter2", b"s3cr3tvalue", b"pw99"):
        assert secret not in raw
    assert b'"***"' in raw


def test_an_exec_has_the_id_of_its_event(bench: Bench) -> None:
    from sensor.names.event_ids import exec_event_id

    bench.on().execute(WEB, pid=42, start_ns=5_000, time_ns=9_000)
    bench.reporter.note(drift())
    (report,) = bench.reports()
    assert report.execs[0].exec_id == exec_event_id(BOOT, 42, 5_000, 9_000)
    assert report.namespace == "shop"


def test_names_that_are_not_utf_8_are_escaped(bench: Bench) -> None:
    bench.on().execute(WEB, path=b"/tmp/\xff\xfe", argv=b"\xc3(\0")
    bench.reporter.note(drift())
    (report,) = bench.reports()
    assert report.execs[0].path == "/tmp/\\xff\\xfe"
    assert report.execs[0].argv == ["\\xc3("]


def test_the_largest_execs_stay_within_the_bounds_of_the_wire(bench: Bench) -> None:
    bench.on().execute(WEB, 64, path=b"\xff" * 191, argv=b"\xff" * 511, argv_bytes=511, parent_comm=b"\xff" * 15)
    bench.reporter.note(drift())
    assert len(bench.paths()) == 64


def test_execs_that_were_overwritten_are_counted_and_reported_as_missed(bench: Bench) -> None:
    bench.on().execute(WEB, 100)
    bench.reporter.note(drift())
    reports = bench.reports()
    assert [report.missed for report in reports] == [36, 0, 0, 0]
    assert sum(len(report.execs) for report in reports) == 64
    assert bench.reporter.unknown[LOST] == 36


def test_a_container_that_floods_execs_is_reported_up_to_its_limit(bench: Bench) -> None:
    bench.on().execute(WEB, 10)
    bench.reporter.note(drift())
    for _ in range(30):
        bench.execute(WEB, 60)
        bench.later()
    assert len(bench.paths()) == CONTAINER_EXECS
    bench.later(AFTER_SECONDS)
    assert bench.reporter.unknown[LOST] == 10 + 30 * 60 - CONTAINER_EXECS


def test_a_node_reports_no_more_in_an_hour_than_the_portal_stores(bench: Bench) -> None:
    bench.on()
    for number in range(CONTAINERS):
        bench.execute(f"container-{number}", 64)
        bench.reporter.note(drift(container=f"container-{number}", path=f"/tmp/{number}"))
    assert len(bench.paths()) == NODE_EXECS_PER_HOUR < CONTAINERS * 64
    bench.now += 3_600.0
    bench.execute("container-0")
    bench.reporter.note(drift(container="container-0", path="/tmp/new"))
    assert bench.paths() == ["/bin/tool-65"]


def test_only_so_many_containers_are_followed_at_once(bench: Bench) -> None:
    bench.on()
    for number in range(CONTAINERS + 1):
        bench.execute(f"container-{number}")
        bench.reporter.note(drift(container=f"container-{number}", path=f"/tmp/{number}"))
    assert len(bench.reports()) == CONTAINERS
    assert bench.reporter.unknown[LOST] == 1


def test_nothing_is_kept_or_reported_until_the_portal_wants_it(bench: Bench) -> None:
    bench.reporter.step()
    bench.execute(WEB)
    bench.reporter.note(drift())
    bench.later()
    assert bench.reports() == []
    assert not any(bench.maps.values.values())


def test_switched_off_it_forgets_what_was_kept_and_whom_it_followed(bench: Bench) -> None:
    bench.on().execute(WEB, argv=b"private\0")
    bench.reporter.note(drift())
    bench.reports()
    bench.reporter.switch(False)
    bench.later()
    assert not any(b"private" in value for value in bench.maps.values.values())
    bench.reporter.switch(True)
    bench.later()
    bench.execute(WEB)
    bench.later()
    assert bench.reports() == []
    assert WEB.encode() not in (bench.directory / "followed.json").read_bytes()


def test_a_sensor_that_is_killed_goes_on_following(bench: Bench) -> None:
    bench.on().execute(WEB)
    bench.reporter.note(drift())
    bench.reports()
    bench.execute(WEB, path=b"/bin/while-it-was-down")
    bench.start()
    bench.later()
    assert "/bin/while-it-was-down" in bench.paths()


def test_after_a_reboot_nothing_is_followed(bench: Bench) -> None:
    bench.on().execute(WEB)
    bench.reporter.note(drift())
    bench.reports()
    bench.maps, bench.boot = FakeTrackMaps(), "another boot"
    bench.start()
    bench.now = 10.0
    bench.later()
    bench.execute(WEB)
    bench.later()
    assert bench.reports() == []


@pytest.mark.parametrize(
    "left", [b"", b"{", b"[]", b'{"boot": 1}', b'{"boot": "x", "on": 1, "followed": [1]}', b"\xff"]
)
def test_a_broken_file_of_what_was_followed_is_no_obstacle(bench: Bench, left: bytes) -> None:
    (bench.directory / "followed.json").write_bytes(left)
    bench.start()
    bench.on().execute(WEB)
    bench.reporter.note(drift())
    assert bench.paths() == ["/bin/tool-1"]


def test_a_backend_that_remembers_nothing_is_no_obstacle(bench: Bench) -> None:
    bench.history = None
    bench.on()
    bench.reporter.note(drift())
    bench.later()
    assert bench.reports() == []


def test_a_history_that_cannot_be_read_costs_no_event(bench: Bench) -> None:
    def fail(fd: int) -> None:
        raise CaptureUnavailable("bpf_map_lookup_elem failed: Bad file descriptor")

    bench.on().execute(WEB)
    bench.maps.on_lookup = fail
    bench.reporter.note(drift())
    assert bench.reporter.unknown[LOST] == 1
    bench.maps.on_lookup = lambda fd: None
    bench.later()
    assert bench.paths() == ["/bin/tool-1"]


def test_a_backend_that_takes_over_is_switched_on_too(bench: Bench) -> None:
    bench.history = None
    bench.on()
    bench.tracks = FakeTrackMaps().tracks()
    bench.history = KernelExecHistory(bench.tracks, BOOT, lambda: 0, lambda: None)
    bench.later()
    assert bench.tracks.is_on


def test_a_full_spool_costs_the_execs_and_counts_them(bench: Bench) -> None:
    bench.start(spool_bytes=10)
    bench.on().execute(WEB, 5)
    bench.reporter.note(drift())
    bench.later(AFTER_SECONDS + 1)
    assert bench.reports() == []
    assert bench.reporter.unknown[LOST] == 5


@pytest.mark.parametrize("change", [{"mode": "summary", "count": 3}, {"canary": True}])
def test_summaries_and_canaries_start_nothing(bench: Bench, change: dict[str, object]) -> None:
    bench.on().execute(WEB)
    bench.reporter.note(msgspec.structs.replace(drift(), **change))
    bench.later()
    assert bench.reports() == []
