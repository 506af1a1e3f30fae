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
printf '#!/bin/sh\\nsleep 0.3; exec /tmp/failed $1\\n' > /tmp/second
printf '#!/none\\n' > /tmp/failed
printf '#!sh\\nsleep 0.3\\n' > /tmp/relative
printf '#!/usr/bin/wrap\\n' > /tmp/wrapped
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


def told(capture: FanotifyCapture, container: str, number: int) -> list[tuple[str, list[str]]]:
    """Read until this many files of a container were told; return their names and arguments, and those told after."""
    found: list[tuple[str, list[str]]] = []
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        found += [
            (event.process.name, event.process.argv) for event in capture.read(0.1) if event.container.name == container
        ]
        if len(found) >= number:
            until = min(until, time.monotonic() + 1.0)
    return found


def test_a_script_that_a_script_becomes_is_told_and_one_that_fails_is_not(
    podman: Podman, capture: FanotifyCapture
) -> None:
    name = podman.run(podman.image("app", FILES))
    podman.shell(name, SCRIPTS)
    capture.read(0.5)
    podman.command("exec", name, "/bin/sh", "-c", "/tmp/first 1", check=False)
    assert told(capture, name, 2) == [("first", []), ("second", ["/bin/sh", "/tmp/second", "1"])]
    assert capture.counters().unknown["argv"]


@pytest.mark.parametrize(
    ("script", "argv"),
    [("/tmp/relative", ["sh", "/tmp/relative"]), ("/tmp/wrapped", ["/bin/sh", "/usr/bin/wrap", "/tmp/wrapped"])],
)
def test_a_script_is_told_though_its_line_does_not_name_the_program_that_the_kernel_opens(
    podman: Podman, capture: FanotifyCapture, tmp_path: Path, script: str, argv: list[str]
) -> None:
    """It names one by its working directory, or a script of the image, which nobody waits for."""
    wrap = tmp_path / "wrap"
    wrap.write_text("#!/bin/sh\nsleep 0.3\n")
    wrap.chmod(0o755)
    name = podman.run(podman.image("app", {**FILES, "/usr/bin/wrap": wrap}))
    podman.shell(name, SCRIPTS)
    capture.read(0.5)
    podman.command("exec", "--workdir", "/bin", name, "env2", script)
    assert told(capture, name, 1) == [(Path(script).name, argv)]


def test_a_script_of_which_nothing_tells_what_ran_it_is_counted(podman: Podman, capture: FanotifyCapture) -> None:
    name = podman.run(podman.image("app", FILES))
    podman.shell(name, SCRIPTS)
    capture.read(0.5)
    podman.command("exec", "--workdir", "/bin", name, "/bin/sh", "-c", "exec /tmp/relative")
    until = time.monotonic() + PATIENCE
    while "unreadable" not in capture.counters().lost and time.monotonic() < until:
        assert name not in {event.container.name for event in capture.read(0.1)}
    assert capture.counters().lost["unreadable"]


def test_a_static_program_after_two_dynamic_ones_is_told_as_itself(podman: Podman, capture: FanotifyCapture) -> None:
    name = podman.run(podman.image("app", FILES))
    podman.shell(name, SCRIPTS)
    capture.read(0.5)
    podman.shell(name, "env2 nice2 /tmp/true")
    assert [told_name for told_name, _ in told(capture, name, 1)] == ["true"]
