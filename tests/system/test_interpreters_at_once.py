"""More interpreters at once than what they read can be followed of: none pushes another out, and each is counted."""

from __future__ import annotations

import functools
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sensor.capture import ebpf
from sensor.capture.errors import CaptureUnavailable
from sensor.capture.programs import ProgramOptions
from tests.system import needs
from tests.system.capture.bed import Collector, PodmanBox

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.system.podman import Podman

pytestmark = pytest.mark.container

NESTED = "perl -e 'system q(perl), q(-e), q(system qw(perl -e 1))'"
"""Three perls, each the parent of the next; before them run the shell, and the container's first process."""


@pytest.fixture(scope="module")
def podman(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Podman]:
    if shutil.which("perl") is None:
        pytest.skip("needs perl")
    with needs.podman_in(tmp_path_factory.mktemp("podman")) as made:
        yield made


@pytest.fixture(scope="module")
def image(podman: Podman) -> str:
    listed = subprocess.run(["ldd", "/usr/bin/perl"], capture_output=True, check=True, text=True).stdout.split()
    libraries = {word: Path(word) for word in listed if word.startswith("/")}
    return podman.image("app", {"/usr/bin/perl": Path("/usr/bin/perl"), **libraries})


def lost_reads(podman: Podman, image: str, monkeypatch: pytest.MonkeyPatch, room: int, script: str) -> int:
    """Return how many interpreters of a container were counted as not followed, where so many have room on the node."""
    monkeypatch.setattr(ebpf, "ProgramOptions", functools.partial(ProgramOptions, interpreters=room))
    try:
        capture = ebpf.open_ebpf(ring_bytes=1024 * 1024)
    except CaptureUnavailable as error:
        pytest.skip(str(error))
    capture.detect({"interpreter"})
    collector = Collector(capture)
    try:
        box = PodmanBox(podman, podman.run(image))
        box.shell(f"{script}; cat /bin/busybox > /tmp/last; chmod +x /tmp/last; /tmp/last true last")
        collector.until(box.id, lambda event: event.container.id == box.id and event.process.argv[-1:] == ["last"])
        gaps = capture.counters().gaps
        return sum(gap.lost.get("reads_unseen", 0) for gap in gaps if gap.container_id == box.id)
    finally:
        collector.close()


def test_those_that_find_no_room_are_counted_for_their_container(
    podman: Podman, image: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At least: other containers on this machine may take the room too."""
    assert lost_reads(podman, image, monkeypatch, 3, NESTED) >= 2


def test_those_that_have_ended_leave_their_room(podman: Podman, image: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert lost_reads(podman, image, monkeypatch, 256, "for i in $(seq 400); do perl -e 1; done") == 0
