"""A volume that two containers share: what one writes there and the other executes is on a volume, whoever wrote it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.system import needs
from tests.system.blocking_bed import RAN, UNLIMITED, Bed, altered_busybox, block_rule, kinds
from tests.unit.sensor.fake_portal import FakePortal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.system.podman import Podman

pytestmark = pytest.mark.container

PROGRAM = "/data/busybox-shared"
TURNS = 20


class Pair(NamedTuple):
    """A container that is blocked, and one out of the rule's scope that writes to the volume."""

    bed: Bed
    runs: str
    writes: str

    def outcomes(self) -> set[tuple[str, str]]:
        found = [event for event in self.bed.events(PROGRAM) if event.container.name == self.runs]
        return {(event.outcome, event.outcome_reason) for event in found}


@pytest.fixture(scope="module")
def pair(podman: Podman, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    shared = [f"{tmp_path_factory.mktemp('shared')}:/data"]
    runner = needs.tool(tmp_path_factory.mktemp("tools") / "run")
    with FakePortal().serving() as portal, Bed(podman, portal, tmp_path_factory.mktemp("sensor")) as bed:
        bed.publish(block_rule(podman, process_scope=kinds("volume", "foreign_mount", "fileless")))
        bed.start("--kills-per-minute", UNLIMITED)
        runs = podman.run(podman.image("blocked", {"/usr/bin/run": runner}), volumes=shared)
        writes = podman.run(podman.image("other"), volumes=shared)
        podman.cp(altered_busybox(podman), writes, PROGRAM)
        bed.until(lambda: RAN not in bed.run(runs, f"run memfd /bin/busybox echo {RAN}"))
        yield Pair(bed, runs, writes)


def test_what_another_container_writes_there_is_stopped_each_time_and_reported(pair: Pair) -> None:
    for turn in range(TURNS):
        pair.bed.run(pair.writes, f"cat /bin/busybox > {PROGRAM}; echo {turn} >> {PROGRAM}")
        assert RAN not in pair.bed.run(pair.runs, f"{PROGRAM} echo {RAN}")
    pair.bed.await_events(PROGRAM, TURNS)
    assert pair.outcomes() == {("blocked", "")}


def test_the_writer_itself_out_of_the_rule_s_scope_runs_it(pair: Pair) -> None:
    assert RAN in pair.bed.run(pair.writes, f"{PROGRAM} echo {RAN}")


def test_a_rule_that_does_not_name_the_kind_lets_it_run_and_says_so(pair: Pair) -> None:
    pair.bed.publish(block_rule(pair.bed.podman))
    pair.bed.until(lambda: RAN in pair.bed.run(pair.runs, f"{PROGRAM} echo {RAN}"))
    pair.bed.until(lambda: ("not_blocked", "kind_not_named") in pair.outcomes())
