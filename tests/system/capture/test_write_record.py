"""A program that is patched and covered up in every way there is: each run is reported, none with a wrong hash."""

from __future__ import annotations

import functools
import hashlib
import os
import random
import subprocess
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tests.system import needs, patch_ways
from tests.system.patch_ways import BOUND, MAPPED, OF_PRIVILEGED, UNCHANGED, WAYS, patched

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sensor.wire import Event
    from tests.system.capture.bed import Watch

pytestmark = pytest.mark.container

TURNS = 60
BLOCK = 4096
SEQUENCES = int(os.environ.get("WRITE_SEQUENCES", "24"))
FIRST = int(os.environ.get("WRITE_FIRST", "0"))
"""The number of the first: a long run can be taken in pieces."""
SEED = int(os.environ.get("WRITE_SEED", "7"))
"""Other sequences with each."""


@pytest.fixture(scope="module")
def tool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return needs.tool(tmp_path_factory.mktemp("patch") / "patch", source="patch.c")


@pytest.fixture(params=["podman", needs.NODE.name])
def watch(request: pytest.FixtureRequest, watch_of: Callable[[str, bool], Watch], tool: Path) -> Watch:
    found = watch_of(request.param, False)
    found.box.put(tool, "/data/patch")
    return found


def runs(events: list[Event], of: str) -> dict[str, Event]:
    """Return the runs of a program by its arguments; each must have been reported once."""
    found: dict[str, Event] = {}
    for event in events:
        if event.process.path == of:
            state = " ".join(event.process.argv[1:])
            assert state not in found
            found[state] = event
    return found


@pytest.mark.parametrize("way", WAYS)
def test_each_run_of_a_patched_image_program_is_reported_and_none_with_a_wrong_hash(
    watch: Watch, runner: Path, way: str
) -> None:
    events = watch.drift(f"cp /usr/bin/run /usr/bin/victim; /data/patch {way} {TURNS} /usr/bin/victim", "ebpf")
    seen = runs(events, "/usr/bin/victim")
    assert set(seen) == patch_ways.runs(way, TURNS)
    for turn in range(1, TURNS + 1):
        process = seen[f"patched {turn}"].process
        assert process.sha256 in {None, patched(runner, turn)}, turn
        assert (process.hash_status == "ok") == (process.sha256 is not None)


@pytest.mark.parametrize("way", [*OF_PRIVILEGED, BOUND])
def test_nor_is_one_that_a_loop_device_a_ring_of_the_kernel_s_or_a_mount_changes(
    watch_of: Callable[[str, bool], Watch], tool: Path, runner: Path, way: str
) -> None:
    watch = watch_of("podman", True)
    watch.box.put(tool, "/data/patch")
    events = watch.drift(f"cp /usr/bin/run /usr/bin/victim; /data/patch {way} {TURNS} /usr/bin/victim", "ebpf")
    seen = runs(events, "/usr/bin/victim")
    assert set(seen) == patch_ways.runs(way, TURNS)
    for turn in range(1, TURNS + 1):
        assert seen[f"patched {turn}"].process.sha256 in {None, patched(runner, turn)}, turn


def test_nor_is_one_on_a_volume_that_is_given_the_blocks_of_another_file(watch: Watch, runner: Path) -> None:
    """By an ioctl of ext4, which writes nothing; what the file holds changes when the kernel forgets its pages."""
    if filesystem(watch.box.root / "data") != "ext2/ext3":
        pytest.skip("needs ext4")
    events = watch.drift(f"cp /usr/bin/run /data/victim; /data/patch exchanged {TURNS} /data/victim", "ebpf")
    seen = {state: event.process.sha256 for state, event in runs(events, "/data/victim").items()}
    content = runner.read_bytes()
    end = len(content) // BLOCK * BLOCK
    hashes = {
        "clean": hashlib.sha256(content).hexdigest(),
        "patched": hashlib.sha256(content[: end - BLOCK] + bytes(BLOCK) + content[end:]).hexdigest(),
    }
    assert set(seen) == {f"{state} {turn}" for state in hashes for turn in range(1, TURNS + 1)}
    # A sensor that reads after the next turn's exchange says that the file changed, and gives no hash.
    assert {state: sha for state, sha in seen.items() if sha not in {None, hashes[state.split()[0]]}} == {}


def filesystem(directory: Path) -> str:
    """Return the type of the filesystem that a directory is on, as stat(1) names it: ext4 is `ext2/ext3`."""
    done = subprocess.run(["stat", "-f", "-c", "%T", directory], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def test_an_image_program_that_is_touched_between_its_runs_is_not_reported(watch: Watch) -> None:
    assert (
        runs(
            watch.drift(f"cp /usr/bin/run /usr/bin/victim; /data/patch clean {TURNS} /usr/bin/victim", "ebpf"),
            "/usr/bin/victim",
        )
        == {}
    )


def random_sequence(number: int) -> tuple[bool, list[tuple[str, int]]]:
    """Return whether a sequence's container is privileged, and its steps: how the program is changed, how often."""
    chance = random.Random(f"{SEED} {number}")
    is_privileged = number % 4 == 3
    ways = (*WAYS, *((*OF_PRIVILEGED, BOUND) if is_privileged else ()), *UNCHANGED, *UNCHANGED)
    chosen = [chance.choice(ways) for _ in range(chance.randint(2, 5))]
    return is_privileged, [(way, chance.randint(1, UNCHANGED.get(way, 3))) for way in chosen]


@pytest.fixture(scope="module")
def patchable(watch_of: Callable[[str, bool], Watch], tool: Path) -> Callable[[bool], Watch]:
    """A container of podman, privileged or not."""

    @functools.cache
    def made(privileged: bool) -> Watch:
        watch = watch_of("podman", privileged)
        watch.box.put(tool, "/data/patch")
        return watch

    return made


@pytest.mark.parametrize("number", range(FIRST, FIRST + SEQUENCES))
def test_of_random_sequences_no_run_is_missed_none_is_invented_and_no_hash_is_wrong(
    patchable: Callable[[bool], Watch], runner: Path, number: int
) -> None:
    is_privileged, steps = random_sequence(number)
    watch = patchable(is_privileged)
    expected = Counter(
        f"patched {turn}" for way, turns in steps for turn in range(1, turns + 1) if way not in UNCHANGED
    ) + Counter("clean 0" for way, _ in steps if way in MAPPED)
    events = []
    script = "cp /usr/bin/run /usr/bin/victim"
    for way, turns in steps:
        script += f"; /data/patch {way} {turns} /usr/bin/victim"
        if way in UNCHANGED:
            # Read before the next step writes to the file: after that nothing shows what ran, and it is reported.
            events += watch.run(script, watch.box.id)["ebpf"]
            script = "true"
    events += watch.run(script, watch.box.id)["ebpf"]
    seen = [event.process for event in events if event.process.path == "/usr/bin/victim"]
    assert Counter(" ".join(process.argv[1:]) for process in seen) == expected, steps
    for process in seen:
        assert process.sha256 in {None, patched(runner, int(process.argv[2]))}, steps
