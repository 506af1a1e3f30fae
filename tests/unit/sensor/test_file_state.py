"""Whether two looks at a file saw the same data, by the record of writers."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from sensor.file_state import FileState, FileThatRan, StateFlag
from sensor.files import hashing
from sensor.files.handles import OpenFile
from sensor.files.hashing import Hasher
from tests.unit.sensor.file_states import FakeWriteRecords, replaced

THEN = FileState(ino=7, begun_ns=1, opened_ns=2, written_ns=3, dev=40, generation=5, flags=StateFlag.WRITES_SEEN)
OPENS = replaced(THEN, flags=StateFlag.OPENS_SEEN)


class TestSameData:
    @pytest.mark.parametrize(
        ("then", "later"),
        [
            pytest.param(THEN, THEN, id="nothing happened"),
            pytest.param(THEN, replaced(THEN, opened_ns=9), id="opened and not written, as by touch"),
            pytest.param(THEN, replaced(THEN, flags=THEN.flags | StateFlag.OPEN), id="open, and not written yet"),
            pytest.param(OPENS, OPENS, id="not opened, where opens alone are seen"),
        ],
    )
    def test_is_the_same_while_nobody_wrote(self, then: FileState, later: FileState) -> None:
        assert then.has_same_data(later)

    @pytest.mark.parametrize(
        ("then", "later"),
        [
            pytest.param(THEN, replaced(THEN, written_ns=4), id="written"),
            pytest.param(OPENS, replaced(OPENS, opened_ns=4), id="opened, where only that is seen"),
            pytest.param(replaced(THEN, flags=THEN.flags | StateFlag.OPEN), THEN, id="open for writing then"),
            pytest.param(replaced(THEN, flags=THEN.flags | StateFlag.MAPPED), THEN, id="mapped then"),
            pytest.param(THEN, replaced(THEN, flags=THEN.flags | StateFlag.MAPPED), id="mapped now"),
            pytest.param(THEN, replaced(THEN, ino=8), id="another file"),
            pytest.param(THEN, replaced(THEN, generation=6), id="a file with the same number"),
            pytest.param(THEN, replaced(THEN, begun_ns=8), id="the record was lost, and began anew"),
            pytest.param(replaced(THEN, flags=0), replaced(THEN, flags=0), id="a filesystem of which nothing is seen"),
        ],
    )
    def test_is_unknown_otherwise(self, then: FileState, later: FileState) -> None:
        assert not then.has_same_data(later)


class Files:
    """A file that ran, and a hasher with a record of writers."""

    def __init__(self, path: Path, flags: int) -> None:
        self.path, self.records = path, FakeWriteRecords(flags)
        self.hasher = Hasher(records=self.records)
        path.write_text("evil")

    def ran(self, *, is_settled: bool = False, **changes: int) -> FileThatRan:
        facts = self.path.stat()
        state = replaced(self.records.of(facts.st_ino), **changes)
        return FileThatRan(state, facts.st_ctime_ns, facts.st_size, is_settled)

    def write(self, content: str) -> None:
        self.path.write_text(content)
        self.records.note_write(self.path.stat().st_ino)

    def digest(self, ran: FileThatRan | None, payer: str = "box") -> tuple[str | None, str]:
        file = OpenFile.from_link(str(self.path))
        try:
            return self.hasher.digest(file, payer, ran)
        finally:
            file.close()


EVIL = hashlib.sha256(b"evil").hexdigest(), "ok"
GONE = None, "gone"


class TestHashOfWhatRan:
    @pytest.fixture
    def seen(self, tmp_path: Path) -> Files:
        return Files(tmp_path / "x", StateFlag.WRITES_SEEN)

    @pytest.fixture
    def unseen(self, tmp_path: Path) -> Files:
        """On a filesystem of which not every write is seen."""
        return Files(tmp_path / "x", 0)

    def test_is_given_while_nobody_wrote(self, seen: Files) -> None:
        ran = seen.ran()
        seen.path.chmod(0o700)
        assert seen.digest(ran) == EVIL

    def test_is_not_given_once_somebody_wrote(self, seen: Files) -> None:
        ran = seen.ran()
        seen.write("good")
        assert seen.digest(ran) == GONE

    def test_is_known_for_good_once_it_was_taken(self, seen: Files) -> None:
        ran = seen.ran()
        seen.digest(ran)
        seen.write("good")
        assert (seen.hasher.known(ran), seen.digest(ran)) == (EVIL[0], EVIL)

    def test_is_not_given_of_a_file_that_was_mapped_as_it_ran(self, seen: Files) -> None:
        assert seen.digest(seen.ran(flags=StateFlag.WRITES_SEEN | StateFlag.MAPPED)) == GONE

    def test_is_not_given_of_a_file_in_its_place(self, seen: Files) -> None:
        ran = seen.ran(generation=9)
        assert seen.digest(ran) == GONE

    def test_is_not_given_where_it_is_written_to_while_it_is_read(
        self, seen: Files, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ran, read = seen.ran(), hashing._sha256

        def slow(fd: int, size: int) -> str:
            seen.write("good")
            return read(fd, size)

        monkeypatch.setattr(hashing, "_sha256", slow)
        assert seen.digest(ran) == GONE
        assert seen.digest(None) == GONE

    def test_is_given_by_times_where_they_are_old_enough(self, unseen: Files) -> None:
        assert unseen.digest(unseen.ran(is_settled=True)) == EVIL
        assert unseen.digest(unseen.ran(is_settled=False)) == GONE

    def test_by_times_is_not_given_once_they_change(self, unseen: Files) -> None:
        ran = unseen.ran(is_settled=True)
        unseen.path.chmod(0o700)
        assert unseen.digest(ran) == GONE

    def test_by_times_nothing_is_remembered_of_a_container_s_file(
        self, unseen: Files, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ran = unseen.ran(is_settled=True)
        unseen.digest(ran)
        monkeypatch.setattr(hashing, "_sha256", lambda *_: hashlib.sha256(b"again").hexdigest())
        assert unseen.digest(ran)[0] == hashlib.sha256(b"again").hexdigest()

    def test_is_given_by_times_alone_where_no_writers_are_recorded(self, tmp_path: Path) -> None:
        files = Files(tmp_path / "x", 0)
        files.hasher = Hasher()
        facts = files.path.stat()
        ran = FileThatRan(None, facts.st_ctime_ns, facts.st_size, is_settled=False)
        assert files.digest(ran) == EVIL
        files.path.chmod(0o700)
        assert files.digest(ran) == GONE

    def test_of_a_file_that_was_once_mapped_is_not_remembered(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A direct read may still fill a page of that mapping: the record shows the same, and the file another byte."""
        files = Files(tmp_path / "x", StateFlag.WRITES_SEEN | StateFlag.WAS_MAPPED)
        ran = files.ran()
        assert files.digest(ran) == EVIL
        monkeypatch.setattr(hashing, "_sha256", lambda *_: hashlib.sha256(b"filled").hexdigest())
        assert files.digest(ran)[0] == hashlib.sha256(b"filled").hexdigest()
