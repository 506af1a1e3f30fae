"""From an exec and a verdict to the event on the wire."""

from __future__ import annotations

import datetime as dt
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensor import wire
from sensor.container.identify import Resolved
from sensor.file_state import FileState, OriginFlag, StateFlag
from sensor.judgement.decide import Verdict
from sensor.judgement.events import make_event, name_owner
from sensor.names.event_ids import exec_event_id
from sensor.record import Flag, LastWriter, SessionOf
from sensor.wire import Ancestor, Container, Event, Parent
from tests.unit.sensor.records import record

RESOLVED = Resolved(Container(id="a1" * 32), complete=True, root_dev=40, layers=None, pid=1)
VERDICT = Verdict("new_file", b"/tmp/x", "0" * 64, "ok", 10)
BOOTED_NS = 1_700_000_000_000_000_000


def event(verdict: Verdict = VERDICT, **changes: Any) -> Event:
    return make_event(record(**changes), RESOLVED, verdict, boot="boot", booted_ns=BOOTED_NS)


def test_the_id_and_times_come_from_the_kernel_s_clock() -> None:
    made = event(pid=7, start_ns=2_000, time_ns=3_500_001)
    assert made.event_id == exec_event_id("boot", 7, 2_000, 3_500_001)
    assert made.observed_at == dt.datetime(2023, 11, 14, 22, 13, 20, 3_500, tzinfo=dt.UTC)
    assert made.process.started_at == dt.datetime(2023, 11, 14, 22, 13, 20, 2, tzinfo=dt.UTC)


def test_the_parent_is_named_by_its_file_and_left_out_of_the_ancestors() -> None:
    process = event(ancestors=((5, b"comm"), (4, b"php-fpm")), parent_path=b"/bin/bash").process
    assert process.parent == Parent("bash", 5, "/bin/bash")
    assert [(one.name, one.pid) for one in process.ancestors] == [("php-fpm", 4)]


def test_a_parent_without_a_file_is_named_by_its_comm() -> None:
    assert event(ancestors=((5, b"kworker"),), parent_path=b"").process.parent == Parent("kworker", 5)


@pytest.mark.parametrize("flag", [Flag.ARGV_CUT, Flag.ARGV_UNREADABLE])
def test_arguments_that_the_kernel_could_not_read_are_marked_truncated(flag: int) -> None:
    assert event(flags=flag, argv=(b"x",)).process.argv_truncated


def test_an_unknown_container_is_incomplete() -> None:
    unknown = Resolved(Container(id="x"), complete=False, root_dev=40, layers=None, pid=1)
    assert make_event(record(), unknown, VERDICT, boot="b", booted_ns=0).identity == "incomplete"


raw = st.binary(max_size=5_000).filter(lambda text: b"\0" not in text)


@given(path=raw, cwd=raw, parent=raw, comm=st.binary(max_size=15), argv=st.lists(raw, max_size=100))
def test_hostile_bytes_make_an_event_that_the_portal_accepts(
    path: bytes, cwd: bytes, parent: bytes, comm: bytes, argv: list[bytes]
) -> None:
    verdict = Verdict("script", b"/" + path, None, "gone", 0, via=b"/" + path, copy_of=b"/" + cwd)
    made = event(verdict, cwd=b"/" + cwd, parent_path=b"/" + parent, ancestors=((1, comm),) * 16, argv=tuple(argv))
    assert msgspec.json.decode(msgspec.json.encode(made), type=Event) == made


def test_every_field_of_a_process_is_filled() -> None:
    """A field that the wire has and `make_event` leaves at its default fails here."""
    verdict = Verdict("new_file", b"/tmp/x", "0" * 64, "ok", 10, copy_of=b"/bin/x", via=b"/bin/sh")
    writer = LastWriter(1_000, 9, b"curl", b"/usr/bin/curl", 8, b"nginx")
    process = event(verdict, flags=Flag.ARGV_CUT, path=b"/tmp/x", writer=writer).process
    blank = wire.Process(name="", path="")
    left = [name for name in wire.Process.__struct_fields__ if getattr(process, name) == getattr(blank, name)]
    # Of a file of another container alone; and of who entered, which the examiner knows.
    assert left == ["file_origin", "entry"]


class TestWriter:
    CURL = LastWriter(1_000, 9, b"curl", b"/usr/bin/curl", 8, b"nginx", lineage=(b"nginx", b"tini"))

    def test_is_that_of_the_file_that_ran(self) -> None:
        written_by = event(path=b"/tmp/x", writer=self.CURL).process.written_by
        at = dt.datetime(2023, 11, 14, 22, 13, 20, 1, tzinfo=dt.UTC)
        assert written_by == wire.Writer("curl", 9, at, "/usr/bin/curl", Ancestor("nginx", 8))

    def test_has_at_least_the_kernel_s_name_for_it(self) -> None:
        gone = msgspec.structs.replace(self.CURL, path=b"", parent_pid=0)
        written_by = event(path=b"/tmp/x", writer=gone).process.written_by
        assert written_by is not None
        assert (written_by.name, written_by.path, written_by.parent) == ("curl", None, None)

    def test_of_a_script_is_not_that_of_its_interpreter(self) -> None:
        script = Verdict("script", b"/tmp/x", None, "gone", 0, via=b"/bin/sh")
        assert event(script, path=b"/bin/sh", writer=self.CURL).process.written_by is None

    def test_is_unknown_for_a_file_named_in_argv(self) -> None:
        named = Verdict("interpreter", b"/tmp/x", None, "gone", 0, via=b"/bin/sh")
        assert event(named, path=b"/bin/sh", writer=self.CURL).process.written_by is None


def test_a_file_of_another_container_has_that_one_s_names_and_a_path_that_is_not_its_own() -> None:
    made = event(path=b"/bin/sh")
    owner = Container(id="b2" * 32, name="db", image_name="docker.io/library/postgres:16", namespace="shop")
    made.process.path = "/bin/sh"
    name_owner(made, owner, is_image_file=True)
    assert made.process.path == "/container:b2b2b2b2b2b2/bin/sh"
    assert made.process.file_origin == wire.FileOrigin(
        "b2" * 32, "db", "docker.io/library/postgres:16", None, "shop", is_image_file=True
    )


def test_such_a_path_stays_within_its_bound() -> None:
    made = event()
    made.process.path = "/" + "x" * (wire.MAX_PATH - 1)
    name_owner(made, Container(id="b2" * 32), is_image_file=None)
    assert len(made.process.path) == wire.MAX_PATH


class TestProvenance:
    CURL = msgspec.structs.replace(TestWriter.CURL, is_opener=True)
    WHOLE = OriginFlag.WHOLE | OriginFlag.IMAGE

    def of(self, origins: int, *, flags: int = StateFlag.OPENS_SEEN, **changes: Any) -> wire.ProcessProvenance:
        state = FileState(7, 1, 2, 3, 40, 5, flags, origins)
        found = event(**{"path": b"/tmp/x", "writer": self.CURL, "state": state, **changes}).process.provenance
        assert found is not None
        return found

    def test_names_the_writer_where_all_writers_are_known(self) -> None:
        expected = wire.ProcessProvenance("exec", "/usr/bin/curl", "curl", "image", "nginx/tini")
        assert self.of(self.WHOLE, session=SessionOf.EXEC) == expected

    @pytest.mark.parametrize(
        ("others", "origin"),
        [
            (0, "image"),
            (OriginFlag.RUNTIME, "runtime"),
            (OriginFlag.UNKNOWN, None),
            (OriginFlag.RUNTIME | OriginFlag.UNKNOWN, None),
            (OriginFlag.DRIFT, "drift"),
            (OriginFlag.DRIFT | OriginFlag.UNKNOWN | OriginFlag.RUNTIME, "drift"),
        ],
    )
    def test_the_least_trusted_of_all_writers_counts(self, others: int, origin: str | None) -> None:
        assert self.of(self.WHOLE | others).writer_origin == origin

    @pytest.mark.parametrize(
        "changes",
        [
            pytest.param({"origins": OriginFlag.IMAGE}, id="not from when it was empty"),
            pytest.param({"origins": WHOLE | OriginFlag.OTHER}, id="another container"),
            pytest.param({"origins": OriginFlag.WHOLE}, id="no writer was seen"),
            pytest.param({"origins": WHOLE, "flags": 0}, id="neither opens nor writes are seen"),
            pytest.param({"origins": WHOLE, "state": None}, id="no record"),
        ],
    )
    def test_nothing_is_said_of_the_writer_where_another_may_have_written(self, changes: dict[str, Any]) -> None:
        found = self.of(**changes, session=SessionOf.WORKLOAD)
        assert found == wire.ProcessProvenance("workload")

    def test_writes_that_are_all_seen_name_the_writer_as_well_as_opens_do(self) -> None:
        assert self.of(self.WHOLE, flags=StateFlag.WRITES_SEEN) == self.of(self.WHOLE)

    @pytest.mark.parametrize(
        ("sessions", "expected"),
        [
            (OriginFlag.WORKLOAD, "workload"),
            (OriginFlag.EXEC, "exec"),
            (OriginFlag.WORKLOAD | OriginFlag.EXEC, "exec"),
            (OriginFlag.WORKLOAD | OriginFlag.NO_SESSION, None),
            (OriginFlag.EXEC | OriginFlag.NO_SESSION, None),
            (0, None),
        ],
    )
    def test_the_session_of_the_writers_is_known_where_each_one_s_is(self, sessions: int, expected: str | None) -> None:
        assert self.of(self.WHOLE | sessions).written_in_session == expected

    def test_the_session_of_the_writers_is_not_known_of_a_file_that_was_not_empty_before(self) -> None:
        assert self.of(OriginFlag.IMAGE | OriginFlag.WORKLOAD).written_in_session is None

    @pytest.mark.parametrize(
        ("others", "is_named"),
        [(0, True), (OriginFlag.UNKNOWN, False), (OriginFlag.DRIFT, False), (OriginFlag.RUNTIME, False)],
    )
    def test_the_last_of_several_writers_is_named_where_all_are_the_image_s(self, others: int, is_named: bool) -> None:
        assert (self.of(self.WHOLE | OriginFlag.SEVERAL | others).written_by is not None) == is_named
        assert self.of(self.WHOLE | others).written_by is not None

    def test_of_a_memfd_nothing_is_said_of_writers(self) -> None:
        fileless = Verdict("fileless", b"/tmp/x", None, "gone", 0)
        assert self.of(self.WHOLE | OriginFlag.WORKLOAD, verdict=fileless) == wire.ProcessProvenance()

    def test_the_last_writer_is_not_named_where_another_opened_the_file_after_it(self) -> None:
        found = self.of(self.WHOLE, writer=TestWriter.CURL)
        assert found == wire.ProcessProvenance(writer_origin="image")

    @pytest.mark.parametrize(
        ("flags", "opened", "written", "is_named"),
        [
            pytest.param(StateFlag.WRITES_SEEN, 9, 8, True, id="who opened it wrote nothing"),
            pytest.param(StateFlag.WRITES_SEEN, 9, 10, False, id="it was written to since"),
            pytest.param(StateFlag.WRITES_SEEN, 9, 9, False, id="at the very time"),
            pytest.param(StateFlag.WRITES_SEEN, 9, 0, False, id="no write was seen"),
            pytest.param(StateFlag.WRITES_SEEN | StateFlag.WAS_MAPPED, 9, 8, False, id="through a mapping"),
            pytest.param(StateFlag.OPENS_SEEN, 9, 8, False, id="writes are not seen"),
        ],
    )
    def test_the_last_writer_is_named_where_who_opened_the_file_after_it_wrote_nothing(
        self, flags: int, opened: int, written: int, is_named: bool
    ) -> None:
        state = FileState(7, 1, opened, written, 40, 5, flags, self.WHOLE)
        found = self.of(self.WHOLE, writer=TestWriter.CURL, state=state)
        assert (found.written_by is not None) is is_named
        drifted = FileState(7, 1, opened, written, 40, 5, flags, self.WHOLE | OriginFlag.SEVERAL | OriginFlag.UNKNOWN)
        assert self.of(self.WHOLE, writer=TestWriter.CURL, state=drifted).written_by is None

    @pytest.mark.parametrize("session", [SessionOf.UNKNOWN, 3, 99])
    def test_a_session_that_is_not_known_is_none(self, session: int) -> None:
        """3 is of a process that is entering, which has run nothing yet."""
        assert self.of(self.WHOLE, session=session).session is None

    def test_a_file_that_only_argv_names_has_no_writer(self) -> None:
        named = Verdict("interpreter", b"/tmp/x", None, "gone", 0, via=b"/bin/sh")
        assert self.of(self.WHOLE, verdict=named, path=b"/bin/sh", session=SessionOf.EXEC) == wire.ProcessProvenance(
            "exec"
        )
