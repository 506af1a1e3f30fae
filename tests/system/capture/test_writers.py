"""Who wrote a file is never told to be a program that somebody else wrote after, by whatever way that did.

Where functions can be traced, scripts/vm-provenance.sh tries the same ways.
"""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING, Final

import pytest

from sensor.capture.ebpf import open_ebpf
from sensor.container.podman import PodmanRuntime
from tests.system import needs
from tests.system.capture.bed import Collector
from tests.system.podman import BUSYBOX

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.system.podman import Podman

pytestmark = pytest.mark.container

SEEN: Final = (
    *("pwrite", "pwritev2", "direct", "sendfile", "splice", "copy_file_range", "rename", "exchange"),
    *("ring", "ring-files", "ring-buffers", "punch", "zero", "insert", "collapse"),
)
"""Ways of tools/overwrite.c in which a file's only writer is known on ext4, where the kernel has tracepoints alone."""
WAYS: Final = (*SEEN, "cut", "ring-poll", "mmap", "unnamed", "held")
REPLACED: Final = ("rename", "exchange")
"""Ways that put another file in its place: nobody else wrote to that."""
SHARED_BLOCKS: Final = (*WAYS, "clone")
INTRUDER: Final = "/bin/overwrite"
INSTALL: Final = "dd if=/app of={file} bs=64k 2>/dev/null; chmod +x {file}; "
"""Writes the whole file: its writer is trusted. The clock ticks before somebody else writes."""
SCRIPT: Final = INSTALL + "sleep 0.05; {then}; until {file} true {word}; do sleep 0.02; done; "
"""A file that was registered with io_uring is open for a moment longer than its process lives, and does not run."""
OWN: Final = "overwrite {way} {file} /app; until {file} true own-{way}; do sleep 0.02; done; "
"""The same process has written the whole file before."""
HELD: Final = (
    "(sleep 0.5 | overwrite held {file}) & sleep 0.2; dd if=/app of={file} bs=1 count=9 conv=notrunc 2>/dev/null; wait"
)
"""Another program has the file mapped, and writes before and after the installer does."""
FILESYSTEMS: Final = ("xfs", "btrfs")
FILESYSTEM_BYTES: Final = 320 * 1024 * 1024


@pytest.fixture(scope="module")
def tool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return needs.tool(tmp_path_factory.mktemp("overwrite") / "overwrite", source="overwrite.c")


@pytest.fixture(scope="module")
def volumes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Path]]:
    """New filesystems whose files can share blocks, mounted, by their kind."""
    made: dict[str, Path] = {}
    for kind in FILESYSTEMS:
        if shutil.which(f"mkfs.{kind}") is None:
            continue
        directory = tmp_path_factory.mktemp(kind)
        with (directory / "disk").open("wb") as file:
            file.truncate(FILESYSTEM_BYTES)
        (directory / "mounted").mkdir()
        subprocess.run([f"mkfs.{kind}", "-q", directory / "disk"], check=True)
        subprocess.run(["mount", "-o", "loop", directory / "disk", directory / "mounted"], check=True)
        made[kind] = directory / "mounted"
    yield made
    for directory in made.values():
        subprocess.run(["umount", "--lazy", directory], check=True)


@pytest.fixture(scope="module")
def writers(podman: Podman, tool: Path, volumes: dict[str, Path]) -> dict[str, tuple[str | None, str | None]]:
    """The writer's path and origin of each file that ran, by the last argument: one container tries all ways."""
    app = podman.directory / "app"
    app.write_bytes(BUSYBOX.read_bytes() + bytes(65_536))
    image = podman.image("writers", {"/app": app, INTRUDER: tool})
    ways = [("/tmp", way) for way in WAYS] + [(f"/{kind}", way) for kind in volumes for way in SHARED_BLOCKS]
    words = [f"{place}-{way}" for place, way in ways]
    script = ""
    for way in SEEN:
        file = f"/tmp/busybox-own-{way}"
        script += OWN.format(file=file, way=way)
    for (place, way), word in zip(ways, words, strict=True):
        file = f"{place}/busybox-{way}"
        then = HELD.format(file=file) if way == "held" else f"overwrite {way} {file}"
        script += SCRIPT.format(file=file, then=then, word=word)
    collector = Collector(open_ebpf(runtimes=[PodmanRuntime()]))
    try:
        mounts = [f"{directory}:/{kind}" for kind, directory in volumes.items()]
        podman.run(image, "sh", "-c", f"{script} exec sleep 1000", volumes=mounts, options=["--privileged"])
        events = collector.by_last_argument([*words, *(f"own-{way}" for way in SEEN)])
    finally:
        collector.close()
    known = {word: event.process.provenance for word, event in events.items()}
    return {word: (each.written_by, each.writer_origin) if each else (None, None) for word, each in known.items()}


def test_a_file_is_told_to_be_written_by_who_wrote_last_or_by_nobody_known(
    writers: dict[str, tuple[str | None, str | None]],
) -> None:
    """Never by the installer, which wrote most of it; and as the image's only where functions can be traced."""
    assert {word: found for word, found in writers.items() if found not in ((INTRUDER, None), (None, None))} == {}


def test_the_only_writer_of_a_file_on_ext4_is_known_whatever_way_it_wrote(
    writers: dict[str, tuple[str | None, str | None]],
) -> None:
    known = {way: writers[f"own-{way}"][0] for way in SEEN} | {way: writers[f"/tmp-{way}"][0] for way in REPLACED}
    assert {way: found for way, found in known.items() if found != INTRUDER} == {}
