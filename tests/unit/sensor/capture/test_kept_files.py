"""Files of execs are held open until their execs are examined, each once, and no longer than needed."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from sensor.capture import kept_files
from sensor.capture.ebpf import AHEAD, BATCH
from sensor.capture.fanotify.group import OPEN_EXEC, OpenEvent
from sensor.capture.kept_files import MAX_KEPT, KeptFiles
from sensor.judgement.exec_files import FUSE_MAGIC
from sensor.record import Flag, Record
from tests.unit.sensor.records import record

if TYPE_CHECKING:
    from collections.abc import Iterator


class Group:
    """A fanotify group whose queue the test fills."""

    def __init__(self) -> None:
        self.queue: list[OpenEvent] = []
        self.ignored = 0

    def opened(self, path: Path, pid: int) -> None:
        self.queue.append(OpenEvent(OPEN_EXEC, os.open(path, os.O_RDONLY), pid))

    def read(self, most: int) -> list[OpenEvent]:
        taken, self.queue = self.queue[:most], self.queue[most:]
        return taken

    def mark(self, *_: object, **__: object) -> None:
        """Mark nothing."""

    def ignore(self, *_: object) -> None:
        self.ignored += 1

    def close(self) -> None:
        for event in self.queue:
            event.close()


@pytest.fixture
def group() -> Group:
    return Group()


@pytest.fixture
def kept(group: Group) -> Iterator[KeptFiles]:
    made = KeptFiles(group)  # type: ignore[arg-type]
    yield made
    made.close()


def executable(directory: Path, content: str, name: str = "program") -> Path:
    path = directory / name
    path.write_text(content)
    return path


def ran(path: Path, pid: int = 7, **changes: Any) -> Record:
    """Return the record of an exec of this file, made now."""
    status = path.stat()
    now = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    made = record(ino=status.st_ino, size=status.st_size, pid=pid, time_ns=now, magic=0)
    return msgspec.structs.replace(made, **changes)


def content(kept: KeptFiles, exec_of: Record) -> str | None:
    file = kept.take(exec_of)
    if file is None:
        return None
    try:
        return os.pread(file.fd, 100, 0).decode()
    finally:
        file.close()


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_a_file_that_is_gone_is_still_had(kept: KeptFiles, group: Group, tmp_path: Path) -> None:
    path = executable(tmp_path, "evil")
    exec_of = ran(path)
    group.opened(path, 7)
    path.unlink()
    assert content(kept, exec_of) == "evil"
    assert content(kept, exec_of) is None


def test_a_file_is_given_to_its_own_process_alone(kept: KeptFiles, group: Group, tmp_path: Path) -> None:
    path = executable(tmp_path, "evil")
    group.opened(path, 7)
    assert content(kept, ran(path, pid=8)) is None
    assert content(kept, ran(path, pid=7)) == "evil"


def test_a_file_of_the_same_size_that_the_process_only_tried_is_not_taken_for_it(
    kept: KeptFiles, group: Group, tmp_path: Path
) -> None:
    tried, made = executable(tmp_path, "good", "tried"), executable(tmp_path, "evil", "made")
    group.opened(tried, 7)
    group.opened(made, 7)
    assert content(kept, ran(made)) == "evil"


def test_files_of_later_execs_wait_in_the_kernel(kept: KeptFiles, group: Group, tmp_path: Path) -> None:
    first = ran(executable(tmp_path, "first"))
    time.sleep(0.05)
    paths = [executable(tmp_path, f"later {number}", f"later{number}") for number in range(1_000)]
    for number, path in enumerate(paths):
        group.opened(path, 100 + number)
    assert content(kept, first) is None
    assert len(group.queue) > len(paths) - 100
    assert [content(kept, ran(path, 100 + number)) for number, path in enumerate(paths)] == [
        f"later {number}" for number in range(1_000)
    ]


def test_execs_without_a_report_do_not_push_out_the_files_of_those_behind_them(
    kept: KeptFiles, group: Group, tmp_path: Path
) -> None:
    """Their change times tell nothing: these files are old, and what is touched later looks new."""
    paths = [executable(tmp_path, f"made {number}", f"made{number}") for number in range(2 * MAX_KEPT)]
    unreported = ran(executable(tmp_path, "of an image"), pid=7)
    execs = [each for number, path in enumerate(paths) for each in (ran(path, 100 + number), unreported)]
    for number, path in enumerate(paths):
        group.opened(path, 100 + number)
        path.unlink()
    found = []
    for start in range(0, len(execs), BATCH):
        batch = execs[start : start + BATCH]
        kept.expect([(each.pid, each.size) for each in execs[start : start + BATCH + AHEAD]])
        for place, each in enumerate(batch):
            file = kept.take(each, place)
            if file is not None:
                found.append(os.pread(file.fd, 100, 0).decode())
                file.close()
    assert found == [f"made {number}" for number in range(len(paths))]


def test_an_exec_that_takes_long_does_not_cost_those_that_overtake_it_their_files(
    kept: KeptFiles, group: Group, tmp_path: Path
) -> None:
    """Its file was opened before all of theirs, and its record is the last."""
    slow = executable(tmp_path, "slow")
    paths = [executable(tmp_path, f"made {number}", f"made{number}") for number in range(BATCH - 1)]
    group.opened(slow, 7)
    for number, path in enumerate(paths):
        group.opened(path, 100 + number)
    execs = [*(ran(path, 100 + number) for number, path in enumerate(paths)), ran(slow, 7)]
    kept.expect([(each.pid, each.size) for each in execs])
    found = []
    for place, each in enumerate(execs):
        file = kept.take(each, place)
        if file is not None:
            found.append(os.pread(file.fd, 100, 0).decode())
            file.close()
    assert found == [*(f"made {number}" for number in range(BATCH - 1)), "slow"]


def test_a_file_that_is_executed_again_and_again_is_left_out_by_the_kernel(
    kept: KeptFiles, group: Group, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_files, "SETTLED_NS", 0)
    path = executable(tmp_path, "image")
    for _ in range(2):
        group.opened(path, 7)
    kept.rest()
    assert group.ignored == 1


def test_what_changed_a_moment_ago_is_not_left_out(kept: KeptFiles, group: Group, tmp_path: Path) -> None:
    path = executable(tmp_path, "new")
    for _ in range(2):
        group.opened(path, 7)
    kept.rest()
    assert group.ignored == 0


def test_files_that_no_exec_was_reported_for_are_released(
    kept: KeptFiles, group: Group, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_files, "KEPT_SECONDS", 0.0)
    before = descriptors()
    path = executable(tmp_path, "failed")
    for _ in range(MAX_KEPT + 100):
        group.opened(path, 7)
    kept.rest()
    assert descriptors() == before
    assert content(kept, ran(path)) is None


@pytest.mark.parametrize("changes", [{"magic": FUSE_MAGIC}, {"flags": Flag.MEMFD}])
def test_nothing_is_looked_for_where_nothing_is_marked(
    kept: KeptFiles, group: Group, tmp_path: Path, changes: dict[str, int]
) -> None:
    path = executable(tmp_path, "evil")
    group.opened(path, 7)
    assert content(kept, ran(path, **changes)) is None
    assert len(group.queue) == 1
