"""The fallback on real containers, while nobody reads: the kernel reports once what a process opens again meanwhile."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sensor.capture.errors import CaptureUnavailable
from sensor.capture.fanotify.capture import open_fanotify
from tests.system.capture.bed import LIBC, LOADER, PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sensor.capture.fanotify.capture import FanotifyCapture
    from tests.system.podman import Podman

pytestmark = pytest.mark.container

FILES = {
    "/usr/bin/env2": Path("/usr/bin/env"),
    "/usr/bin/nice2": Path("/usr/bin/nice"),
    str(LOADER): LOADER,
    str(LIBC): LIBC,
}
SCRIPTS = """\
printf '#!/bin/sh\\nexec /tmp/second $1\\n' > /tmp/first
printf '#!/bin/sh\\nexec /tmp/failed $1\\n' > /tmp/second
printf '#!/none\\n' > /tmp/failed
cat /bin/busybox > /tmp/true
chmod +x /tmp/*
"""


@pytest.fixture
def capture() -> Iterator[FanotifyCapture]:
    try:
        found = open_fanotify()
    except CaptureUnavailable as error:
        pytest.skip(str(error))
    yield found
    found.close()


def told(capture: FanotifyCapture, number: int) -> list[str]:
    """Read until this many files were told; return their names, and those of the moment after."""
    names: list[str] = []
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        names += [event.process.name for event in capture.read(0.1)]
        if len(names) >= number:
            until = min(until, time.monotonic() + 1.0)
    return names


def test_a_script_that_a_script_becomes_is_told_and_one_that_fails_is_not(
    podman: Podman, capture: FanotifyCapture
) -> None:
    name = podman.run(podman.image("app", FILES))
    podman.shell(name, SCRIPTS)
    capture.read(0.5)
    podman.command("exec", name, "/bin/sh", "-c", "/tmp/first 1", check=False)
    assert told(capture, 2) == ["first", "second"]


def test_a_static_program_after_two_dynamic_ones_is_told_as_itself(podman: Podman, capture: FanotifyCapture) -> None:
    name = podman.run(podman.image("app", FILES))
    podman.shell(name, SCRIPTS)
    capture.read(0.5)
    podman.shell(name, "env2 nice2 /tmp/true")
    assert told(capture, 1) == ["true"]
