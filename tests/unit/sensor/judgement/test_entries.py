"""How a process's line entered its container: noted once, of the exec that entered, and bounded."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from sensor.container.identify import Resolved
from sensor.container.pod_spec import Spec, pod_spec
from sensor.judgement.entries import MAX_ALIKE, Entries
from sensor.names.claimed_ids import claimed_id
from sensor.record import Flag, Record, SessionOf, decode
from sensor.wire import Container
from tests.unit.sensor.records import encoded, record

SPEC = {
    "containers": [
        {
            "name": "app",
            "livenessProbe": {"exec": {"command": ["cat", "/healthy"]}},
            "readinessProbe": {"httpGet": {"path": "/"}},
            "startupProbe": {"exec": {"command": ["/probe.sh", "-v"]}},
            "lifecycle": {"preStop": {"exec": {"command": ["sh", "-c", "nginx -s quit"]}}, "postStart": {"sleep": {}}},
        },
        {"name": "other", "livenessProbe": {"exec": {"command": None}}},
    ],
    "initContainers": [{"name": "migrate"}, {"name": "proxy", "restartPolicy": "Always"}],
    "ephemeralContainers": [{"name": "debugger-x"}],
}
ID = b"1d556a5e-28fe-46cc-ad64-6b14d5af5ed9"


def resolved(container: str | None = "app", spec: Any = None) -> Resolved:
    return Resolved(
        container=Container(id="c" * 64, name=container),
        complete=True,
        root_dev=1,
        layers=None,
        pid=1,
        pod_spec=pod_spec(msgspec.convert(spec, Spec)) if spec is not None else None,
    )


POD = resolved()


def session(found: Resolved, how: str, *argv: bytes, flags: int = 0) -> str | None:
    """The session of what is started by a process that entered with argv, or of the container's own."""
    entries = Entries()
    entries.note(entering(5, *argv, flags=Flag.ENTRY | flags), found)
    return entries.session(below(5), found, "exec" if how == "exec" else "workload")


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        ((b"cat", b"/healthy"), "probe"),
        ((b"/bin/sh", b"/probe.sh", b"-v"), "probe"),
        ((b"/usr/bin/env", b"bash", b"/opt/probe.sh", b"-v"), "probe"),
        ((b"sh", b"-c", b"nginx -s quit"), "probe"),
        ((b"cat", b"/healthy", b"/etc/shadow"), "exec"),
        ((b"cat",), "exec"),
        ((b"sh", b"-c", b"nginx -s quit; id"), "exec"),
        ((b"sh",), "exec"),
        ((b"/probe.sh",), "exec"),
        ((b"a", b"b", b"c", b"/probe.sh", b"-v"), "exec"),
        ((), "exec"),
    ],
)
def test_who_enters_with_the_command_of_a_probe_or_hook_is_that(argv: tuple[bytes, ...], expected: str) -> None:
    assert session(resolved("app", SPEC), "exec", *(argv or (b"",))) == expected


def test_a_probe_of_another_container_or_a_command_that_is_cut_is_none() -> None:
    assert session(resolved("other", SPEC), "exec", b"cat", b"/healthy") == "exec"
    assert session(resolved(None, SPEC), "exec", b"cat", b"/healthy") == "exec"
    assert session(resolved("app", SPEC), "exec", b"cat", b"/healthy", flags=Flag.ARGV_CUT) == "exec"


@pytest.mark.parametrize(
    ("container", "expected"),
    [("app", "workload"), ("proxy", "workload"), ("migrate", "init"), ("debugger-x", "debug"), ("unknown", "workload")],
)
def test_a_container_s_own_processes_are_what_the_specification_says(container: str, expected: str) -> None:
    assert session(resolved(container, SPEC), "workload", b"sh") == expected


@pytest.mark.parametrize("container", ["app", "migrate", "debugger-x"])
def test_without_the_specification_a_probe_is_an_exec_and_never_the_workload(container: str) -> None:
    found = resolved(container)
    assert session(found, "exec", b"cat", b"/healthy") == "exec"
    assert session(found, "workload", b"sh") == "workload"
    assert Entries().session(below(5), found, None) is None


def test_a_person_who_enters_an_init_container_is_an_exec_there() -> None:
    assert session(resolved("migrate", SPEC), "exec", b"sh") == "exec"


def test_an_entry_whose_command_is_lost_stays_an_exec() -> None:
    assert Entries().session(below(5), resolved("app", SPEC), "exec") == "exec"


def entering(at: int, *argv: bytes, **changes: Any) -> Record:
    given: dict[str, Any] = {"flags": Flag.ENTRY, "session": SessionOf.EXEC, "argv": argv or (b"sh",)} | changes
    return record(entered_ns=at, entered_pid=at, **given)


def below(at: int) -> Record:
    return record(session=SessionOf.EXEC, entered_ns=at, entered_pid=at, argv=(b"/tmp/x",))


def argv(entries: Entries, at: int) -> list[str] | None:
    found = entries.entry(below(at), 0)
    return found.argv if found is not None else None


def test_what_a_process_starts_has_the_command_with_which_it_entered() -> None:
    entries = Entries()
    entries.note(entering(10, b"bash", b"-l", claimed_id=ID), POD)
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
    entries.note(entering(1, b"bash"), POD)
    for at in range(2, 5_000):
        entries.note(entering(at, b"cat", b"/healthy"), POD)
    assert argv(entries, 1) == ["bash"]
    assert argv(entries, 4_999) == ["cat", "/healthy"]
    assert argv(entries, 4_999 - MAX_ALIKE) == []


def test_as_many_are_kept_as_there_is_room_for() -> None:
    entries = Entries(most=10)
    for at in range(1, 100):
        entries.note(entering(at, b"sh", b"%d" % at), POD)
    assert [argv(entries, at) for at in (89, 90, 99)] == [[], ["sh", "90"], ["sh", "99"]]


def test_an_entry_that_is_read_again_changes_nothing() -> None:
    entries = Entries()
    for _ in range(MAX_ALIKE * 2):
        entries.note(entering(5, b"sh"), POD)
    entries.note(entering(6, b"sh"), POD)
    assert (argv(entries, 5), argv(entries, 6)) == (["sh"], ["sh"])


def test_a_long_command_is_cut() -> None:
    entries = Entries()
    entries.note(entering(5, *[b"x" * 100] * 100), POD)
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
