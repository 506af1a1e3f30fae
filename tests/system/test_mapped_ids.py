"""Nothing of an image is stopped in a container with mapped ids, whose mount names directories that are gone.

`BLOCKING_FULL=1` runs all of issue 12's counts; without it they are taken at a tenth or less.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.system.blocking_bed import RAN, UNLIMITED, Bed, altered_busybox, block_rule
from tests.system.podman import BUSYBOX, Podman
from tests.unit.sensor.fake_portal import FakePortal

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.container

FULL = os.environ.get("BLOCKING_FULL") == "1"
IMAGE_RUNS = 10_000 if FULL else 500
TOUCHED = 1_000 if FULL else 100
NEW_FILES = UNKNOWN = 100
MAPPED = ("--uidmap=0:100000:65536", "--gidmap=0:100000:65536")
LINKS = "/var/lib/containers/storage/overlay/l"
WITHOUT_LAYERS = f'mount -t tmpfs driftwatch-test {LINKS} && exec {sys.executable} -m sensor "$@"'
"""A sensor that cannot open the layers of any image: they are reached by these links alone."""
NEW = f"""for i in $(seq {NEW_FILES}); do
  cat /tmp/busybox-probe > /tmp/busybox-$i; chmod +x /tmp/busybox-$i; /tmp/busybox-$i echo {RAN}; rm /tmp/busybox-$i
done"""
TOOL = "/usr/bin/busybox-tool"
USED = f"touch /bin/busybox; chmod 755 {TOOL} /opt/entry.sh; {TOOL} echo {RAN}; /opt/entry.sh"
"""`touch` is busybox itself: nobody can enter the container if that is stopped afterwards."""


@pytest.fixture(scope="module")
def image(podman: Podman) -> str:
    files: dict[str, bytes | str | Path] = {
        "/usr/bin/busybox-tool": BUSYBOX,
        "/opt/entry.sh": "#!/bin/sh\necho image script\n",
    }
    return podman.image("blocked", files)


@pytest.fixture
def bed(podman: Podman, tmp_path: Path) -> Iterator[Bed]:
    with FakePortal().serving() as portal, Bed(podman, portal, tmp_path) as made:
        made.publish(block_rule(podman))
        yield made


class TestLayersOfTheRecord:
    def test_image_files_and_touched_ones_run(self, bed: Bed, image: str) -> None:
        bed.start("--kills-per-minute", UNLIMITED)
        name = bed.warm(image, options=MAPPED)
        touched = bed.run(name, f"for i in $(seq {TOUCHED}); do {USED}; done")
        assert (touched.count(RAN), touched.count("image script")) == (TOUCHED, TOUCHED)
        assert bed.run(name, f"for i in $(seq {IMAGE_RUNS}); do /bin/echo {RAN}; done").count(RAN) == IMAGE_RUNS
        assert bed.run(name, f"busybox-tool echo {RAN}").count(RAN) == 1

    def test_touched_image_files_are_not_reported(self, bed: Bed, image: str) -> None:
        """Not in a storm: a file that is touched again before it was read gets no benefit of the doubt for long."""
        bed.start("--kills-per-minute", UNLIMITED)
        name = bed.warm(image, options=MAPPED)
        assert bed.run(name, f"for i in $(seq 20); do {USED}; sleep 0.2; done").count(RAN) == 20
        bed.run(name, "cat /tmp/busybox-probe > /tmp/busybox-last; chmod +x /tmp/busybox-last; /tmp/busybox-last")
        bed.await_events("/tmp/busybox-last", 1)
        assert [bed.events(path) for path in ("/bin/", "/usr/", "/opt/")] == [[], [], []]

    def test_new_and_replaced_files_are_stopped(self, bed: Bed, image: str) -> None:
        bed.start("--kills-per-minute", UNLIMITED)
        name = bed.warm(image, options=MAPPED)
        assert RAN not in bed.run(name, NEW)
        bed.await_events("/tmp/busybox-1", 1)
        assert RAN not in bed.run(
            name, f"cat /tmp/busybox-probe > /usr/bin/busybox-tool; /usr/bin/busybox-tool echo {RAN}"
        )
        (event,) = bed.await_events("/usr/bin/busybox-tool", 1)
        assert (event.kind, event.outcome, event.identity) == ("replaced", "blocked", "complete")

    def test_image_files_run_on_a_read_only_root(self, bed: Bed, image: str) -> None:
        bed.start("--kills-per-minute", UNLIMITED)
        name = bed.podman.run(image, options=[*MAPPED, "--read-only"])
        out = bed.run(name, f"for i in $(seq {TOUCHED}); do /usr/bin/busybox-tool echo {RAN}; /opt/entry.sh; done")
        assert (out.count(RAN), out.count("image script")) == (TOUCHED, TOUCHED)


class TestLayersUnknown:
    @pytest.fixture
    def blind(self, bed: Bed) -> Bed:
        bed.program = ("unshare", "--mount", "--propagation=slave", "/bin/sh", "-c", WITHOUT_LAYERS, "sensor")
        bed.start("--kills-per-minute", UNLIMITED)
        return bed

    @pytest.mark.parametrize("options", [(), MAPPED], ids=["plain", "mapped"])
    def test_nothing_is_stopped_by_its_content_and_what_is_reported_is_not_certain(
        self, blind: Bed, image: str, options: tuple[str, ...]
    ) -> None:
        name = blind.podman.run(image, options=options)
        blind.podman.cp(altered_busybox(blind.podman), name, "/tmp/busybox-probe")
        for _ in range(UNKNOWN):
            out = blind.run(
                name,
                f"{USED}; cat /tmp/busybox-probe > /tmp/busybox-x; chmod +x /tmp/busybox-x; /tmp/busybox-x echo {RAN}",
            )
            assert (out.count(RAN), out.count("image script")) == (2, 1)
        events = blind.await_events("/tmp/busybox-x", UNKNOWN)
        assert {(event.identity, event.outcome) for event in events} == {("incomplete", "none")}
