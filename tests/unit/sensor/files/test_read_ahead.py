"""Files that are read for several execs at once: each has the hash of what ran, or none, as if it were read alone."""

from __future__ import annotations

import hashlib
import os
import threading
from typing import TYPE_CHECKING, Any

import pytest

from sensor.file_state import FileThatRan, StateFlag
from sensor.files import hashing
from sensor.files.deadline import Budget, Worker
from sensor.files.handles import OpenFile
from sensor.files.hashing import AHEAD_BYTES, LEAST_AHEAD, Hasher
from tests.unit.sensor.file_states import FakeWriteRecords

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MANY = 3 * hashing.MOST_AHEAD


class CountingWorker(Worker):
    """Counts how often something waits for it."""

    waits = 0

    def run_at_expense(self, *arguments: Any, **options: Any) -> Any:
        self.waits += 1
        return super().run_at_expense(*arguments, **options)


class Storm:
    """Files that ran, held open, and a hasher with a record of writers."""

    def __init__(self, directory: Path, flags: int = StateFlag.WRITES_SEEN) -> None:
        self.directory, self.records, self.worker = directory, FakeWriteRecords(flags), CountingWorker()
        self.hasher = Hasher(records=self.records, worker=self.worker)
        self.held: list[tuple[OpenFile, FileThatRan]] = []

    def ran(self, content: bytes) -> tuple[OpenFile, FileThatRan]:
        """Write another file and return it as it was executed."""
        path = self.directory / f"file{len(self.held)}"
        path.write_bytes(content)
        facts = path.stat()
        ran = FileThatRan(self.records.of(facts.st_ino), facts.st_ctime_ns, facts.st_size, is_settled=False)
        self.held.append((OpenFile.from_link(str(path)), ran))
        return self.held[-1]

    def write(self, number: int, content: bytes) -> None:
        path = self.directory / f"file{number}"
        path.write_bytes(content)
        self.records.note_write(path.stat().st_ino)

    def read_ahead(self) -> None:
        self.hasher.read_ahead({"box": self.held})

    def digests(self) -> list[tuple[str | None, str]]:
        return [self.hasher.digest(file, "box", ran) for file, ran in self.held]


@pytest.fixture
def storm(tmp_path: Path) -> Iterator[Storm]:
    made = Storm(tmp_path)
    yield made
    for file, _ in made.held:
        file.close()


def of(content: bytes) -> tuple[str, str]:
    return hashlib.sha256(content).hexdigest(), "ok"


def test_many_small_files_are_read_with_few_waits(storm: Storm) -> None:
    for number in range(MANY):
        storm.ran(b"%d" % number)
    storm.read_ahead()
    assert storm.digests() == [of(b"%d" % number) for number in range(MANY)]
    assert storm.worker.waits == 3


def test_what_is_written_after_it_was_read_leaves_the_hash_of_what_ran(storm: Storm) -> None:
    for _ in range(LEAST_AHEAD):
        storm.ran(b"evil")
    storm.read_ahead()
    storm.write(0, b"good")
    assert storm.digests() == [of(b"evil")] * LEAST_AHEAD


def test_what_was_written_before_it_was_read_has_no_hash(storm: Storm) -> None:
    for _ in range(LEAST_AHEAD + 1):
        storm.ran(b"evil")
    storm.write(0, b"good")
    storm.read_ahead()
    assert storm.digests() == [(None, "gone"), *[of(b"evil")] * LEAST_AHEAD]


def test_what_is_written_while_it_is_read_has_no_hash(storm: Storm, monkeypatch: pytest.MonkeyPatch) -> None:
    read = hashing._sha256

    def slow(fd: int, size: int) -> str:
        digest = read(fd, size)
        storm.write(0, b"good")
        return digest

    for _ in range(LEAST_AHEAD):
        storm.ran(b"evil")
    monkeypatch.setattr(hashing, "_sha256", slow)
    storm.read_ahead()
    assert storm.digests()[0] == (None, "gone")


def test_on_a_filesystem_whose_writes_are_not_seen_times_decide_as_ever(tmp_path: Path) -> None:
    storm = Storm(tmp_path, flags=0)
    for _ in range(LEAST_AHEAD):
        storm.ran(b"evil")
    storm.read_ahead()
    assert storm.digests() == [(None, "gone")] * LEAST_AHEAD


def test_a_descriptor_s_number_that_is_given_again_does_not_pass_for_the_file_before(storm: Storm) -> None:
    for _ in range(LEAST_AHEAD):
        storm.ran(b"evil")
    storm.read_ahead()
    numbers = {file.fd for file, _ in storm.held}
    for file, _ in storm.held:
        file.close()
    storm.held.clear()
    file, ran = storm.ran(b"another")
    assert file.fd in numbers
    assert storm.hasher.digest(file, "box", ran) == of(b"another")


def test_data_that_several_execs_ran_are_read_once(storm: Storm, monkeypatch: pytest.MonkeyPatch) -> None:
    read, reads = hashing._sha256, list[int]()

    def counted(fd: int, size: int) -> str:
        reads.append(fd)
        return read(fd, size)

    monkeypatch.setattr(hashing, "_sha256", counted)
    for number in range(LEAST_AHEAD):
        storm.ran(b"%d" % number)
    again = [(OpenFile.from_link(f"{storm.directory}/file0"), storm.held[0][1]) for _ in range(20)]
    storm.held += again
    storm.read_ahead()
    assert len(storm.digests()) == len(reads) + 20


def test_large_files_are_left_to_be_read_alone(storm: Storm) -> None:
    for _ in range(LEAST_AHEAD):
        storm.ran(b"x" * (AHEAD_BYTES + 1))
    storm.read_ahead()
    assert storm.worker.waits == 0
    assert storm.digests() == [of(b"x" * (AHEAD_BYTES + 1))] * LEAST_AHEAD


def test_a_file_that_hangs_keeps_no_other_from_being_read(storm: Storm, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does it make the reader wait for each batch of a container: the rest of the batches are not tried."""
    read, go = hashing._sha256, threading.Event()

    def hangs(fd: int, size: int) -> str:
        if size == len(b"hangs"):
            go.wait()
        return read(fd, size)

    monkeypatch.setattr(hashing, "_sha256", hangs)
    monkeypatch.setattr(hashing, "AHEAD_SECONDS", 0.01)
    storm.ran(b"hangs")
    for _ in range(MANY):
        storm.ran(b"evil")
    storm.read_ahead()
    assert storm.worker.waits == 1
    assert [storm.hasher.digest(file, "box", ran) for file, ran in storm.held[1:]] == [of(b"evil")] * MANY
    go.set()


def test_what_a_budget_does_not_allow_is_too_large_though_it_was_read(tmp_path: Path) -> None:
    storm = Storm(tmp_path)
    storm.hasher = Hasher(records=storm.records, budget=Budget(0, 6, lambda: 0.0))
    for number in range(LEAST_AHEAD):
        storm.ran(b"%d.." % number)
    storm.read_ahead()
    assert [status for _, status in storm.digests()] == ["ok", "ok", *["too_large"] * (LEAST_AHEAD - 2)]


def test_a_file_that_the_kernel_opened_for_reading_is_hashed_from_its_start_as_often_as_asked(tmp_path: Path) -> None:
    """Its handle is not opened again, and duplicates of it share one offset."""
    path = tmp_path / "x"
    path.write_bytes(b"content")
    file = OpenFile.adopt(os.open(path, os.O_RDONLY | os.O_CLOEXEC), is_readable=True)
    os.lseek(file.fd, 3, os.SEEK_SET)
    records = FakeWriteRecords(StateFlag.WRITES_SEEN)
    digests = [Hasher(records=records).digest(file)[0] for _ in range(2)]
    assert digests == [hashlib.sha256(b"content").hexdigest()] * 2
    assert os.lseek(file.fd, 0, os.SEEK_CUR) == 3
    file.close()
