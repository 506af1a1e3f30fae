"""Files that somebody else changes: the node, another container, or whoever gets the inode number of an allowed one."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from tests.system.blocking_bed import RAN, UNLIMITED, Bed, altered_busybox, block_rule
from tests.system.podman import BUSYBOX
from tests.unit.sensor.fake_portal import FakePortal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.system.podman import Podman

pytestmark = pytest.mark.container

TURNS = 5
REUSES = 50
TOOL = "/usr/bin/busybox-tool"
ALLOWED = BUSYBOX.read_bytes() + b"allowed"


@pytest.fixture(scope="module")
def bed(podman: Podman, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    """A sensor that blocks all drift in one image but what has an allowed hash."""
    with FakePortal().serving() as portal, Bed(podman, portal, tmp_path_factory.mktemp("others")) as made:
        made.publish(block_rule(podman, allow_list=[f"sha256:{hashlib.sha256(ALLOWED).hexdigest()}"]))
        made.start("--kills-per-minute", UNLIMITED)
        yield made


@pytest.fixture(scope="module")
def image(podman: Podman) -> str:
    return podman.image("blocked", {TOOL: BUSYBOX, "/opt/entry.sh": "#!/bin/sh\nexit 0\n"})


def test_a_program_of_the_image_that_the_node_replaces_never_runs_and_restored_it_does(bed: Bed, image: str) -> None:
    """By podman cp, each time after it ran as the image has it, and was left out of holding."""
    name = bed.warm(image)
    for _ in range(TURNS):
        assert RAN in bed.run(name, f"{TOOL} echo {RAN}")
        bed.podman.cp(altered_busybox(bed.podman), name, TOOL)
        assert RAN not in bed.run(name, f"{TOOL} echo {RAN}")
        bed.podman.cp(BUSYBOX, name, TOOL)
    events = bed.await_events(TOOL, TURNS)
    assert {(event.kind, event.outcome) for event in events} == {("replaced", "blocked")}


def test_a_file_that_gets_the_inode_number_of_an_allowed_one_never_runs(
    bed: Bed, image: str, podman: Podman, tmp_path: Path
) -> None:
    name = bed.warm(image)
    (tmp_path / "allowed").write_bytes(ALLOWED)
    podman.cp(tmp_path / "allowed", name, "/tmp/allowed")
    put = "cat {0} > /tmp/busybox-f; chmod +x /tmp/busybox-f; /bin/busybox stat -c %i /tmp/busybox-f"
    turn = f"{put.format('/tmp/allowed')}; /tmp/busybox-f echo ALLOWED; rm /tmp/busybox-f; "
    turn += f"{put.format('/tmp/busybox-probe')}; /tmp/busybox-f echo {RAN}; rm /tmp/busybox-f"
    out = bed.run(name, f"for i in $(seq {REUSES}); do {turn}; done").split()
    inodes = [word for word in out if word.isdecimal()]
    assert (out.count("ALLOWED"), out.count(RAN), len(inodes)) == (REUSES, 0, 2 * REUSES)
    assert len(set(inodes)) < len(inodes)


def test_a_program_on_a_volume_that_another_container_changes_is_never_reported_with_another_s_hash(
    bed: Bed, podman: Podman, tmp_path: Path
) -> None:
    volume = [f"{tmp_path}:/data"]
    runs, writes = (podman.run(podman.image(f"shared-{role}"), volumes=volume) for role in ("runs", "writes"))
    program = "/data/busybox-shared"
    put = f"cat /bin/busybox > {program}; chmod +x {program}"
    hashes = {}
    for turn in range(1, TURNS + 1):
        podman.shell(writes, f"{put}; echo {turn} >> {program}")
        podman.shell(runs, f"{program} true {turn}")
        podman.shell(writes, put)
        hashes[turn] = hashlib.sha256(BUSYBOX.read_bytes() + f"{turn}\n".encode()).hexdigest()
    events = bed.await_events(program, TURNS)
    assert {event.kind for event in events} == {"volume"}
    assert sorted(int(event.process.argv[-1]) for event in events) == sorted(hashes)
    for event in events:
        assert event.process.sha256 in {None, hashes[int(event.process.argv[-1])]}
