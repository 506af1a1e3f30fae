"""An image's own files in a volume that the image declares, and what else lies there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sensor.container.podman import PodmanRuntime
from tests.system.capture.bed import BACKENDS, Collector, PodmanBox, Watch, app_files, collectors, note
from tests.system.capture.lines import OTHERS_CAUGHT, OTHERS_QUIET
from tests.system.podman import BUSYBOX

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.system.podman import Podman

pytestmark = [pytest.mark.container, pytest.mark.parametrize("backend", BACKENDS)]


@pytest.fixture(scope="module")
def watched() -> Iterator[dict[str, Collector]]:
    found = collectors([PodmanRuntime()])
    yield found
    for collector in found.values():
        collector.close()


@pytest.fixture(scope="module")
def declaring(podman: Podman, runner: Path) -> str:
    files = app_files(runner) | {"/srv/busybox-tool": BUSYBOX, "/srv/entry.sh": "#!/bin/sh\nexit 0\n"}
    return podman.image("declaring", files, declared=["/srv"])


@pytest.fixture(scope="module")
def other(podman: Podman, runner: Path, altered: Path) -> str:
    """Another release of it, with other programs in the same place."""
    files = app_files(runner) | {"/srv/busybox-tool": altered, "/srv/entry.sh": "#!/bin/sh\nexit 1\n"}
    return podman.image("declaring-2", files, declared=["/srv"])


RUN = "/srv/busybox-tool sleep 0.05; /srv/entry.sh"


@pytest.fixture(scope="module")
def watch(podman: Podman, watched: dict[str, Collector], declaring: str, altered: Path) -> Watch:
    return Watch(PodmanBox(podman, podman.run(declaring)), watched, altered)


def test_the_image_s_files_are_not_reported(watch: Watch, backend: str, request: pytest.FixtureRequest) -> None:
    # Apart: a file that is touched before its exec is read is reported where no record vouches for it.
    assert watch.drift(RUN, backend) == []
    assert watch.drift(f"touch /srv/busybox-tool /srv/entry.sh; {RUN}", backend) == []
    note(request, OTHERS_QUIET[0], "podman", backend, [], [True])


def test_others_are_and_so_is_one_written_over_the_image_s(
    watch: Watch, backend: str, request: pytest.FixtureRequest
) -> None:
    new = "cp /bin/busybox /srv/busybox-new; /srv/busybox-new sleep 0.05"
    over = "cp /tmp/busybox-sentinel /srv/busybox-tool; /srv/busybox-tool sleep 0.05"
    events = watch.drift(f"{new}; {over}", backend)
    assert [(event.kind, event.process.path) for event in events] == [
        ("volume", "/srv/busybox-new"),
        ("volume", "/srv/busybox-tool"),
    ]
    note(request, OTHERS_CAUGHT[2], "podman", backend, ["volume"], [True])


def test_the_files_of_another_image_in_a_volume_that_is_used_again_are_reported(
    podman: Podman, watched: dict[str, Collector], declaring: str, other: str, altered: Path, backend: str
) -> None:
    volume = f"{podman.prefix}-{backend}"
    try:
        podman.run(declaring, "/bin/true", volumes=[f"{volume}:/srv"], detach=False)
        name = podman.run(other, volumes=[f"{volume}:/srv"])
        events = Watch(PodmanBox(podman, name), watched, altered).drift(RUN, backend)
        assert [(event.kind, event.process.path) for event in events] == [
            ("volume", "/srv/busybox-tool"),
            ("script", "/srv/entry.sh"),
        ]
        podman.rm(name)
    finally:
        podman.command("volume", "rm", "--force", volume, check=False)
