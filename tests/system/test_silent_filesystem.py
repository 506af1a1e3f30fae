"""What is read of a program on a filesystem whose server, perhaps its own container, never answers outsiders."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sensor.capture.fanotify.fuse import fuse_in_use
from sensor.capture.fanotify.procfs import ProcessFacts, process_facts, running_file
from sensor.files.deadline import Worker
from sensor.files.handles import OpenFile
from sensor.files.hashing import Hasher
from sensor.judgement.exec_files import open_running
from tests.system import needs
from tests.system.podman import BUSYBOX, unusable
from tests.unit.sensor.records import record

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.container
PATIENCE = 30.0
FUSE = "exec /{directory}/f/busybox-served sleep 60"
OVERLAY = (
    "mount -t overlay o -o lowerdir=/{directory}/f,upperdir=/{directory}/t/u,workdir=/{directory}/t/w /{directory}/o;"
    "exec /{directory}/o/busybox-served sleep 60"
)


@pytest.fixture(scope="module")
def silent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if unusable() or not Path("/dev/fuse").exists():
        pytest.skip(unusable() or "needs /dev/fuse")
    program = tmp_path_factory.mktemp("silent") / "silent"
    needs.tool(program, source="silent.c")
    return program


@pytest.fixture(params=[FUSE, OVERLAY], ids=["FUSE", "an overlay on FUSE"])
def running(silent: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[ProcessFacts]:
    """A process that runs a program from there, in mount and pid namespaces of its own, which end with it."""
    directory = str(tmp_path).lstrip("/")
    script = (
        f"mkdir /{directory}/f /{directory}/o /{directory}/t;"
        f" mount -t tmpfs t /{directory}/t; mkdir /{directory}/t/u /{directory}/t/w;"
        f"{silent} busybox-served {BUSYBOX} /{directory}/f && {request.param.format(directory=directory)}"
    )
    command = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "/bin/sh", "-c", script]
    with subprocess.Popen(command) as process:
        yield waited(process.pid)
        process.kill()


def waited(parent: int) -> ProcessFacts:
    """The program, once it runs."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        for pid in Path(f"/proc/{parent}/task/{parent}/children").read_text().split():
            facts = process_facts(int(pid))
            if facts is not None and facts.argv[1:] == (b"sleep", b"60"):
                return facts
    raise AssertionError("it did not start")


def test_its_process_and_file_are_known_without_an_answer_from_the_server(running: ProcessFacts) -> None:
    file = OpenFile.from_link(f"/proc/{running.pid}/exe")
    assert (file.dev, file.ino) == running.exe == running_file(running.pid)
    assert file.size == BUSYBOX.stat().st_size
    file.close()


def test_its_content_is_not_waited_for(running: ProcessFacts) -> None:
    file = OpenFile.from_link(f"/proc/{running.pid}/exe")
    assert Hasher(seconds=0.2).digest(file, "a container") == (None, "unreadable")
    file.close()


def test_it_is_held_like_any_other(running: ProcessFacts) -> None:
    dev, ino = running.exe
    file = open_running(record(pid=running.pid, dev=dev, ino=ino, size=BUSYBOX.stat().st_size, magic=0))
    assert file is not None
    file.close()


@pytest.mark.usefixtures("running")
def test_while_one_is_mounted_more_are_assumed_possible() -> None:
    assert fuse_in_use(Worker())
