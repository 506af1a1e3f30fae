"""Rules on the session and on the writer stop what they name, in the kernel or held, and nothing else.

`BLOCKING_FULL=1` runs 1,000 that are stopped and 10,000 that are not; without it a twentieth and a fiftieth.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from tests.system import needs
from tests.system.blocking_bed import RAN, UNLIMITED, Bed, altered_busybox, block_rule
from tests.system.podman import BUSYBOX, Podman
from tests.unit.sensor.fake_portal import FakePortal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.container

FULL = os.environ.get("BLOCKING_FULL") == "1"
STOPPED = 1_000 if FULL else 50
SPARED = 10_000 if FULL else 200
PER_CALL = 500
"""Programs that one call runs, which is waited for half a minute."""
NEW = "cat /opt/altered > /tmp/{name}; echo {name} >> /tmp/{name}; chmod +x /tmp/{name}; "
RUN_NEW = NEW + "/tmp/{name} echo " + RAN + "; rm /tmp/{name}"
LOOP = """
while :; do
  for order in /orders/*.sh; do
    [ -e "$order" ] || continue
    sh "$order" > "$order.out" 2>&1
    mv "$order" "$order.done"
  done
  sleep 0.05
done
"""
"""What the container's own first process does: it runs the scripts that it finds, so they are the workload's."""


@pytest.fixture(scope="module")
def image(podman: Podman, tmp_path_factory: pytest.TempPathFactory) -> str:
    directory = tmp_path_factory.mktemp("tools")
    tools: dict[str, str | Path] = {
        "/usr/bin/run": needs.tool(directory / "run"),
        "/usr/bin/many": needs.tool(directory / "many", source="many.c"),
        "/opt/say": needs.tool(directory / "say", "-static", "-nostdlib", f'-DSAY="{RAN}"', source="many.c"),
    }
    writers = {"/usr/bin/busybox-tool": BUSYBOX, "/usr/bin/busybox-writer": BUSYBOX}
    tools |= {**writers, "/opt/altered": altered_busybox(podman), "/opt/loop.sh": "#!/bin/sh" + LOOP}
    return podman.image("blocked", tools)


@pytest.fixture(scope="module")
def bed(podman: Podman, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    with FakePortal().serving() as portal, Bed(podman, portal, tmp_path_factory.mktemp("provenance")) as made:
        yield made


class Workload:
    """A container whose own first process runs what it is told, and which somebody may enter as well."""

    def __init__(self, bed: Bed, image: str) -> None:
        self.bed = bed
        bed.publish(block_rule(bed.podman))
        if bed.process is None:
            bed.start("--kills-per-minute", UNLIMITED)
        bed.turn_to_new_containers()
        self.orders = bed.podman.directory / f"orders-{len(bed.podman.containers)}"
        self.orders.mkdir()
        self.name = bed.podman.run(image, "/opt/loop.sh", options=["-v", f"{self.orders}:/orders"])
        # It is known once a memfd, which the kernel alone stops there, no longer runs.
        bed.until(lambda: RAN not in self.exec(f"run memfd /bin/busybox echo {RAN}"))
        self._number = 0

    def exec(self, script: str) -> str:
        """Return the output of a script that somebody runs who enters."""
        return self.bed.run(self.name, script)

    def workload(self, script: str) -> str:
        """Return the output of a script that the container's own process runs."""
        self._number += 1
        order = self.orders / f"{self._number}.sh"
        draft = order.with_suffix(".draft")
        draft.write_text(script)
        draft.rename(order)
        self.bed.until(lambda: order.with_suffix(".sh.done").exists())
        return order.with_suffix(".sh.out").read_text(errors="replace")

    def follow(self, *rules: dict[str, Any], spares: str, run: Callable[[str], str]) -> None:
        """Decide by these rules from now on: they spare what is run in this way, which was stopped before."""
        self.bed.publish(*rules)
        self.bed.until(lambda: RAN in run(f"many {numbered(spares, 0, 0)}"))


def numbered(way: str, first: int, last: int) -> str:
    """Return the arguments of tools/many.c for these programs."""
    name, _, writer = way.partition(" ")
    return f"{name} {first} {last} {writer}"


def count_ran(run: Callable[[str], str], way: str, times: int) -> int:
    """Return how many of so many programs ran; each was tried."""
    ran = 0
    for first in range(1, times + 1, PER_CALL):
        last = min(first + PER_CALL - 1, times)
        output = run(f"many {numbered(way, first, last)}")
        assert output.endswith(f"tried {last - first + 1}\n"), output
        ran += output.count(RAN)
    return ran


@pytest.fixture
def at(bed: Bed, image: str) -> Workload:
    return Workload(bed, image)


def rule(podman: Podman, action: str, number: int = 1, **conditions: str) -> dict[str, Any]:
    """A rule of the test bed with these process conditions."""
    scope = [
        {"property": name, "any_of": [{"operator": "equals", "value": value}]} for name, value in conditions.items()
    ]
    identifier = f"{number:08d}-1111-1111-1111-111111111111"
    return block_rule(podman, id=identifier, name=f"Rule {number}", action=action, process_scope=scope)


WAYS = {"a new file": "file", "a new file with the name of the image's": "named", "a memfd": "memfd"}


@pytest.mark.parametrize("way", WAYS)
def test_a_rule_on_who_entered_stops_all_of_theirs_and_nothing_of_the_workload(at: Workload, way: str) -> None:
    for other in WAYS.values():
        at.follow(rule(at.bed.podman, "block", session="exec"), spares=other, run=at.workload)
    ran = count_ran(at.exec, WAYS[way], STOPPED)
    assert (ran, count_ran(at.workload, WAYS[way], SPARED)) == (0, SPARED)


@pytest.mark.parametrize("way", WAYS)
def test_a_rule_on_the_workload_stops_all_of_its_own_and_nothing_of_who_entered(at: Workload, way: str) -> None:
    for other in WAYS.values():
        at.follow(rule(at.bed.podman, "block", session="workload"), spares=other, run=at.exec)
    ran = count_ran(at.workload, WAYS[way], STOPPED)
    assert (ran, count_ran(at.exec, WAYS[way], SPARED)) == (0, SPARED)


def test_what_the_image_has_runs_in_either_session(at: Workload) -> None:
    at.bed.publish(rule(at.bed.podman, "block", 1, session="exec"), rule(at.bed.podman, "block", 2, session="workload"))
    for run in (at.exec, at.workload):
        assert count_ran(run, "image", SPARED) == SPARED
        assert run(f"touch /usr/bin/busybox-tool; /usr/bin/busybox-tool echo {RAN}").count(RAN) == 1


def test_the_events_say_what_was_stopped_and_in_which_session(at: Workload) -> None:
    at.follow(rule(at.bed.podman, "block", session="exec"), spares=WAYS["a new file"], run=at.workload)
    at.exec(RUN_NEW.format(name="busybox-entered"))
    at.workload(RUN_NEW.format(name="busybox-own"))
    (entered,) = at.bed.await_events("/tmp/busybox-entered", 1)
    (own,) = at.bed.await_events("/tmp/busybox-own", 1)
    sessions = [event.process.provenance.session for event in (entered, own) if event.process.provenance is not None]
    assert sessions == ["exec", "workload"]
    assert (entered.outcome, own.outcome, own.outcome_reason) == ("blocked", "none", "")


def test_a_rule_above_that_blocks_wins_over_one_that_trusts_the_session(at: Workload) -> None:
    above = rule(at.bed.podman, "block", 1, process_path="/tmp/busybox-banned")
    trusting, rest = rule(at.bed.podman, "ignore", 2, session="workload"), rule(at.bed.podman, "block", 3)
    at.follow(above, trusting, rest, spares=WAYS["a new file"], run=at.workload)
    assert RAN not in at.workload(RUN_NEW.format(name="busybox-banned"))
    assert RAN in at.workload(RUN_NEW.format(name="busybox-other"))
    assert RAN not in at.exec(RUN_NEW.format(name="busybox-other"))


WRITER = "/usr/bin/busybox-writer"
WRITTEN = "{writer} cp /opt/altered {path}; chmod +x {path}; "
RUN = "{path} echo " + RAN + "; rm {path}"
BY_WRITER, BY_ANOTHER = f"written {WRITER}", "written /usr/bin/busybox-tool"
MIXED = {
    "appended to by another": f"{WRITTEN} echo x >> {{path}}; {RUN}",
    "overwritten by another": f"{WRITTEN} cat /opt/altered > {{path}}; {RUN}",
    "cut by another": f"{WRITTEN} /bin/busybox truncate -s {BUSYBOX.stat().st_size} {{path}}; {RUN}",
    "begun by another": f"cat /opt/altered > {{path}}; chmod +x {{path}}; {{writer}} sh -c 'echo x >> {{path}}'; {RUN}",
    "of a writer that was copied": "cp {writer} /tmp/busybox-writer; /tmp/busybox-writer cp /opt/altered {path}; "
    + RUN,
    "of a writer that was renamed": (
        "cp /usr/bin/busybox-tool /tmp/w; mkdir -p /tmp/usr/bin; mv /tmp/w /tmp/usr/bin/busybox-writer; "
        "/tmp/usr/bin/busybox-writer cp /opt/altered {path}; chmod +x {path}; " + RUN
    ),
    "copied from what it wrote": f"{WRITTEN} cp {{path}} {{path}}-2; {{path}}-2 echo {RAN}; rm {{path}} {{path}}-2",
    "with its bytes, renamed over": WRITTEN + "cat {path} > {path}-2; chmod +x {path}-2; mv {path}-2 {path}; " + RUN,
}
"""What somebody else had a hand in, each without its path and the writer."""


def trust(at: Workload) -> None:
    """Block all drift but what the writer wrote in the workload's session."""
    trusted = rule(at.bed.podman, "ignore", 1, written_by=WRITER, written_in_session="workload")
    at.follow(trusted, rule(at.bed.podman, "block", 2), spares=BY_WRITER, run=at.workload)


def test_a_trusted_writer_s_files_run_and_no_other_file_does(at: Workload) -> None:
    trust(at)
    spared = count_ran(at.workload, BY_WRITER, SPARED)
    assert (spared, count_ran(at.workload, BY_ANOTHER, STOPPED)) == (SPARED, 0)


@pytest.mark.parametrize("way", MIXED)
def test_what_somebody_else_had_a_hand_in_is_stopped(at: Workload, way: str) -> None:
    trust(at)
    assert RAN not in at.workload(MIXED[way].format(writer=WRITER, path="/tmp/busybox-mixed"))


def test_what_a_person_wrote_stays_theirs_though_the_workload_runs_it(at: Workload) -> None:
    trust(at)
    path = "/tmp/busybox-theirs"
    at.exec(WRITTEN.format(writer=WRITER, path=path))
    assert RAN not in at.workload(RUN.format(path=path))
    at.workload(WRITTEN.format(writer=WRITER, path=path))
    assert RAN in at.exec(f"{path} echo {RAN}")
    at.exec(f"echo x >> {path}")
    assert RAN not in at.workload(RUN.format(path=path))


def test_a_rule_on_a_writer_stops_all_that_it_wrote_and_nothing_else(at: Workload) -> None:
    by_name = rule(at.bed.podman, "block", written_by_name="busybox-writer")
    at.follow(by_name, spares=BY_ANOTHER, run=at.workload)
    ran = count_ran(at.workload, BY_WRITER, STOPPED)
    assert (ran, count_ran(at.workload, BY_ANOTHER, SPARED)) == (0, SPARED)
