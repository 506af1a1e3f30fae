"""How a process's line entered its container: noted once, of the exec that entered, and bounded."""

from __future__ import annotations

from typing import Any

import pytest

from sensor.judgement.entries import MAX_ALIKE, Entries
from sensor.names.claimed_ids import claimed_id
from sensor.record import Flag, Record, SessionOf, decode
from tests.unit.sensor.records import encoded, record

ID = b"1d556a5e-28fe-46cc-ad64-6b14d5af5ed9"


def entering(at: int, *argv: bytes, **changes: Any) -> Record:
    return record(
        flags=Flag.ENTRY, session=SessionOf.EXEC, entered_ns=at, entered_pid=at, argv=argv or (b"sh",), **changes
    )


def below(at: int) -> Record:
    return record(session=SessionOf.EXEC, entered_ns=at, entered_pid=at, argv=(b"/tmp/x",))


def argv(entries: Entries, at: int) -> list[str] | None:
    found = entries.entry(below(at), 0)
    return found.argv if found is not None else None


def test_what_a_process_starts_has_the_command_with_which_it_entered() -> None:
    entries = Entries()
    entries.note(entering(10, b"bash", b"-l", claimed_id=ID))
    found = entries.entry(below(10), 1_000_000_000)
    assert found is not None
    assert (found.argv, found.argv_truncated, found.claimed_id, found.pid) == (["bash", "-l"], False, ID.decode(), 10)
    assert found.at.timestamp() == 1


def test_nobody_entered_where_the_kernel_saw_no_entry() -> None:
    assert Entries().entry(record(session=SessionOf.WORKLOAD), 0) is None


def test_an_entry_whose_command_is_lost_keeps_its_time() -> None:
    found = Entries().entry(below(10), 0)
    assert found is not None and (found.argv, found.claimed_id) == ([], None)


def test_a_probe_that_enters_all_the_time_pushes_out_no_person() -> None:
    entries = Entries(most=100)
    entries.note(entering(1, b"bash"))
    for at in range(2, 5_000):
        entries.note(entering(at, b"cat", b"/healthy"))
    assert argv(entries, 1) == ["bash"]
    assert argv(entries, 4_999) == ["cat", "/healthy"]
    assert argv(entries, 4_999 - MAX_ALIKE) == []


def test_as_many_are_kept_as_there_is_room_for() -> None:
    entries = Entries(most=10)
    for at in range(1, 100):
        entries.note(entering(at, b"sh", b"%d" % at))
    assert [argv(entries, at) for at in (89, 90, 99)] == [[], ["sh", "90"], ["sh", "99"]]


def test_an_entry_that_is_read_again_changes_nothing() -> None:
    entries = Entries()
    for _ in range(MAX_ALIKE * 2):
        entries.note(entering(5, b"sh"))
    entries.note(entering(6, b"sh"))
    assert (argv(entries, 5), argv(entries, 6)) == (["sh"], ["sh"])


def test_a_long_command_is_cut() -> None:
    entries = Entries()
    entries.note(entering(5, *[b"x" * 100] * 100))
    found = entries.entry(below(5), 0)
    assert found is not None and found.argv_truncated
    assert sum(map(len, found.argv)) == 1_024


@pytest.mark.parametrize(
    ("environ", "found"),
    [
        (b"PATH=/bin\0KUBERNETES_EXEC_AUDIT_ID=" + ID + b"\0HOME=/\0", ID),
        (b"REQUEST_UID=" + ID, ID),
        (b"REQUEST_UID=aaaaaaaa-1\0KUBERNETES_EXEC_AUDIT_ID=" + ID + b"\0", ID),
        (b"KUBERNETES_EXEC_AUDIT_ID=short\0REQUEST_UID=" + ID + b"\0", ID),
        (b"REQUEST_UID=aaaaaaaa-1\0REQUEST_UID=" + ID + b"\0", ID),
        (b"XREQUEST_UID=" + ID + b"\0", b""),
        (b"REQUEST_UID=" + b"a" * 65 + b"\0", b""),
        (b"REQUEST_UID=secret with blanks\0", b""),
        (b"REQUEST_UID=\xff\xfe\xfd\xfc\xfb\xfa\xf9\xf8\0", b""),
        (b"REQUEST_UID=\0=\0\0", b""),
        (b"PASSWORD=hunter2hunter2\0", b""),
        (b"", b""),
    ],
)
def test_of_an_environment_nothing_but_a_claimed_id_is_kept(environ: bytes, found: bytes) -> None:
    assert claimed_id(environ) == found
    decoded = decode(encoded(flags=Flag.ENTRY, environ=environ))
    assert decoded.claimed_id == found
    assert b"hunter2" not in repr(decoded).encode()
