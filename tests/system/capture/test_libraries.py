"""Dropped libraries, which eBPF sees if monitoring is enabled, and the fallback never does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sensor.capture.ebpf import open_ebpf
from tests.system import needs
from tests.system.capture.bed import Collector, PodmanBox, Watch, app_files

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.system.podman import Podman

pytestmark = pytest.mark.container
PRELOAD = (
    "cat /lib/x86_64-linux-gnu/libc.so.6 > /tmp/evil.so; echo >> /tmp/evil.so; cd /tmp;"
    " LD_PRELOAD=/tmp/evil.so /usr/bin/dynamic 0.05"
)


@pytest.fixture(scope="module")
def library_box(
    podman: Podman, runner: Path, altered: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Watch]:
    maps = needs.tool(tmp_path_factory.mktemp("tools") / "code-memory", source="code_memory.c")
    image = podman.image("libraries", {**app_files(runner), "/usr/bin/code-memory": maps})
    collector = Collector(open_ebpf(libraries=True))
    yield Watch(PodmanBox(podman, podman.run(image)), {"ebpf": collector}, altered)
    collector.close()


def test_a_dropped_library_is_detected_when_it_is_preloaded(library_box: Watch) -> None:
    event = library_box.only(PRELOAD, "ebpf")
    assert (event.kind, event.process.path) == ("library", "/tmp/evil.so")
    assert event.process.via == "/usr/bin/dynamic"
    assert (event.process.argv, event.process.hash_status) == (["/usr/bin/dynamic", "0.05"], "ok")


def test_the_fallback_sees_no_library(box: Watch) -> None:
    assert box.drift(PRELOAD, "fanotify") == []


def test_libraries_of_the_image_are_not_drift(library_box: Watch) -> None:
    assert library_box.drift("touch /lib/x86_64-linux-gnu/libc.so.6; /usr/bin/dynamic 0; ls /", "ebpf") == []


def test_a_program_that_the_loader_maps_is_reported_once(library_box: Watch) -> None:
    script = "cp /usr/bin/dynamic /tmp/m; /lib64/ld-linux-x86-64.so.2 /tmp/m 0"
    assert library_box.only(script, "ebpf").kind == "loader"


@pytest.mark.parametrize(
    "memory", ["memfd doublemapper", "memfd libffi", "unlinked /tmp/ffi1", "unlinked /scratch/ffi1"]
)
def test_a_compiler_s_memory_is_quiet(library_box: Watch, memory: str) -> None:
    script = f"mkdir -p /scratch; for i in 1 2 3; do code-memory {memory} > /tmp/out; done; grep -q mapped /tmp/out"
    assert library_box.drift(script, "ebpf") == []


@pytest.mark.parametrize("memory", ["memfd doublemapper", "memfd x", "unlinked /tmp/ffi2"])
def test_a_program_mapped_from_a_file_without_a_name_is_a_library_whatever_the_name(
    library_box: Watch, memory: str
) -> None:
    event = library_box.only(f"code-memory {memory} /lib/x86_64-linux-gnu/libc.so.6", "ebpf")
    assert (event.kind, event.process.via) == ("library", "/usr/bin/code-memory")
