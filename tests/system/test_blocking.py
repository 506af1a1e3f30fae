"""Drift that a rule blocks never runs, on real podman containers; whatever else happens, what is not drift does.

`BLOCKING_FULL=1` runs the counts of issue 6; without it some are taken at a tenth.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sensor.capture.base import CaptureUnavailable
from sensor.capture.ebpf import open_ebpf
from tests.system.blocking_bed import RAN, UNLIMITED, Bed, block_rule
from tests.system.podman import Podman, unusable
from tests.unit.sensor.fake_portal import FakePortal

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.container

FULL = os.environ.get("BLOCKING_FULL") == "1"
NEW_FILES = 1_000 if FULL else 100
IMAGE_RUNS = 10_000 if FULL else 500
TOUCHED = 1_000 if FULL else 100
TOOLS = Path(__file__).with_name("tools")


@pytest.fixture(scope="module")
def podman(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Podman]:
    reason = unusable()
    if reason:
        pytest.skip(reason)
    try:
        open_ebpf(ring_bytes=64 * 1024).close()
    except CaptureUnavailable as error:
        pytest.skip(str(error))
    with Podman(tmp_path_factory.mktemp("podman")) as bed:
        yield bed


@pytest.fixture(scope="module")
def image(podman: Podman, tmp_path_factory: pytest.TempPathFactory) -> str:
    compiler = next(filter(None, map(shutil.which, ("clang-14", "gcc", "cc"))), None)
    if compiler is None:
        pytest.skip("needs a C compiler (clang-14)")
    runner = tmp_path_factory.mktemp("tools") / "run"
    subprocess.run([compiler, "-static", "-o", str(runner), str(TOOLS / "run.c")], check=True)
    return podman.image("blocked", {"/usr/bin/run": runner, "/opt/entry.sh": "#!/bin/sh\necho image script\n"})


@pytest.fixture
def bed(podman: Podman, tmp_path: Path) -> Iterator[Bed]:
    with FakePortal().serving() as portal, Bed(podman, portal, tmp_path) as made:
        yield made


@pytest.fixture
def blocking(bed: Bed) -> Bed:
    """A sensor that blocks all drift in the test bed."""
    bed.publish(block_rule(bed.podman))
    bed.start("--kills-per-minute", UNLIMITED)
    return bed


NEW = "cat /bin/busybox > /tmp/busybox-{0}; echo {0} >> /tmp/busybox-{0}; chmod +x /tmp/busybox-{0}; "
EACH_NEW = f"for i in $(seq {NEW_FILES}); do {NEW.format('$i')} /tmp/busybox-$i echo {RAN}; rm /tmp/busybox-$i; done"


class TestKilled:
    def test_no_new_file_prints_anything_in_a_warm_container(self, blocking: Bed, image: str) -> None:
        name = blocking.warm(image)
        assert RAN not in blocking.run(name, EACH_NEW)
        blocking.await_events("/", NEW_FILES)
        assert blocking.count("/", "blocked") >= NEW_FILES

    def test_no_memfd_prints_anything_in_a_warm_container(self, blocking: Bed, image: str) -> None:
        name = blocking.warm(image)
        assert RAN not in blocking.run(name, f"for i in $(seq {NEW_FILES}); do run memfd /bin/busybox echo {RAN}; done")
        blocking.await_events("/memfd:", NEW_FILES)
        assert blocking.count("/memfd:", "blocked") == NEW_FILES

    def test_what_is_killed_is_told_in_full(self, blocking: Bed, image: str) -> None:
        name = blocking.warm(image)
        blocking.run(name, f"{NEW.format('told')} cd /tmp; ./busybox-told echo {RAN} now")
        (event,) = blocking.await_events("/tmp/busybox-told", 1)
        assert (event.kind, event.outcome, event.outcome_reason) == ("new_file", "blocked", "")
        assert (event.process.argv, event.process.cwd) == (["./busybox-told", "echo", RAN, "now"], "/tmp")
        assert event.process.hash_status == "ok"
        assert event.container.name == name
        assert event.decision is not None
        assert (event.decision.action, event.decision.policy_number) == ("block", 1)


class TestLeftAlone:
    def test_no_image_binary_is_hit(self, blocking: Bed, image: str) -> None:
        name = blocking.warm(image)
        out = blocking.run(name, f"for i in $(seq {IMAGE_RUNS}); do /bin/echo {RAN}; done")
        assert out.count(RAN) == IMAGE_RUNS

    def test_no_touched_image_file_is_hit(self, blocking: Bed, image: str) -> None:
        name = blocking.warm(image)
        script = f"for i in $(seq {TOUCHED}); do touch /bin/busybox; /bin/busybox echo {RAN}; /opt/entry.sh; done"
        out = blocking.run(name, script)
        assert (out.count(RAN), out.count("image script")) == (TOUCHED, TOUCHED)
