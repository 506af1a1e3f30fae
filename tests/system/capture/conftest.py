"""Shared fixtures: one podman, one pod runtime, and containers in both that every backend watches."""

from __future__ import annotations

import functools
import json
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from sensor.capture.errors import CaptureUnavailable
from sensor.container.podman import PodmanRuntime
from tests.system import needs
from tests.system.capture.bed import PodBox, PodmanBox, Watch, altered_busybox, app_files, collectors
from tests.system.node import Node
from tests.system.podman import Podman

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.system.capture.bed import Collector

SEEN: dict[tuple[str, str, str], list[object]] = {}
"""By (line, runtime, backend): the kinds that it must be, how many runs were so, and of how many."""


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Keep what the lines' tests have seen: docs/detection.md's table is made of it."""
    for name, value in report.user_properties:
        if name == "detection" and report.when == "call":
            line, runtime, backend, *seen = msgspec.convert(value, type=tuple[str, str, str, list[str], int, int])
            SEEN[line, runtime, backend] = seen


def pytest_sessionfinish() -> None:
    """Write it down where DETECTION_RESULTS names a file (scripts/detection_table.py reads it)."""
    target = os.environ.get("DETECTION_RESULTS")
    if target and SEEN:
        rows = [[*place, *seen] for place, seen in sorted(SEEN.items())]
        Path(target).write_text(json.dumps(rows, indent=0) + "\n")


@pytest.fixture(scope="package")
def podman(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Podman]:
    with needs.podman_in(tmp_path_factory.mktemp("podman")) as bed:
        yield bed


@pytest.fixture(scope="package")
def node(podman: Podman, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    with needs.node_in(tmp_path_factory.mktemp("node"), podman) as bed:
        yield bed


@pytest.fixture(scope="package")
def seen_by(node: Node) -> Iterator[dict[str, Collector]]:
    """A collector of each backend, side by side."""
    try:
        found = collectors([node.runtime, PodmanRuntime()])
    except CaptureUnavailable as error:
        pytest.skip(str(error))
    yield found
    for collector in found.values():
        collector.close()


@pytest.fixture(scope="package")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return needs.tool(tmp_path_factory.mktemp("tools") / "run")


@pytest.fixture(scope="package")
def altered(podman: Podman) -> Path:
    return altered_busybox(podman.directory)


@pytest.fixture(scope="package")
def image(podman: Podman, node: Node, runner: Path) -> str:
    reference = podman.image("shop/app:1.2", app_files(runner))
    node.pull(reference)
    return reference


@pytest.fixture(scope="package")
def mounted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Path]]:
    """A directory of the host, and a tmpfs that the host made, as kubelet does for an emptyDir in memory."""
    volume, scratch = tmp_path_factory.mktemp("volume"), tmp_path_factory.mktemp("scratch")
    subprocess.run(["mount", "-t", "tmpfs", "driftwatch-test", scratch], check=True)
    yield volume, scratch
    subprocess.run(["umount", "--lazy", scratch], check=True)


@pytest.fixture(scope="package")
def watch_of(
    podman: Podman,
    node: Node,
    image: str,
    seen_by: dict[str, Collector],
    altered: Path,
    mounted: tuple[Path, Path],
) -> Callable[..., Watch]:
    """The container of a runtime, privileged or not, with podman's options; made when first asked for."""

    def in_podman(privileged: bool, options: tuple[str, ...]) -> PodmanBox:
        options = (*(["--privileged"] if privileged else []), *(option.replace("{image}", image) for option in options))
        name = podman.run(image, volumes=[f"{mounted[0]}:/data"], tmpfs=["/scratch:exec"], options=list(options))
        return PodmanBox(podman, name)

    def in_pod(privileged: bool) -> PodBox:
        name = "privileged" if privileged else "plain"
        pod = node.pod(f"lines-{name}", "shop", {"app": "lines"}, uid=f"lines-{name}", privileged=privileged)
        mounts = {"/data": mounted[0], "/scratch": mounted[1]}
        return PodBox(node, node.start(pod, "app", image, mounts=mounts, privileged=privileged), "app")

    @functools.cache
    def made(runtime: str, privileged: bool, options: tuple[str, ...]) -> Watch:
        box = in_podman(privileged, options) if runtime == "podman" else in_pod(privileged)
        return Watch(box, seen_by, altered)

    def watch(runtime: str, privileged: bool, options: tuple[str, ...] = ()) -> Watch:
        # The cache knows a call without options and one with none as two.
        return made(runtime, privileged, options)

    return watch


@pytest.fixture
def box(watch_of: Callable[..., Watch]) -> Watch:
    """An ordinary container of podman."""
    return watch_of("podman", False)
