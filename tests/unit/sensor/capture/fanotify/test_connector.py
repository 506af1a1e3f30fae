"""Decoding of the process connector's messages."""

from __future__ import annotations

import struct

import pytest

from sensor.capture.fanotify import connector
from sensor.capture.fanotify.connector import ProcessEvent, decode

FORK, EXEC, EXIT = 1, 2, 0x80000000


def message(what: int, *pids: int) -> bytes:
    """Return a message as the kernel sends it: the headers of netlink, connector and event, then the event's union."""
    head = struct.pack("=IHHII", 76, 3, 0, 0, 0) + struct.pack("=IIIIHH", 1, 1, 0, 0, 40, 0)
    return head + struct.pack("=IIQ", what, 0, 99) + struct.pack("=4I", *pids) + bytes(8)


def test_an_exec_names_the_process_not_the_thread() -> None:
    assert decode(message(EXEC, 12, 10, 0, 0)) == ProcessEvent("exec", 10, 99)


def test_a_fork_names_child_and_parent() -> None:
    assert decode(message(FORK, 12, 10, 20, 20)) == ProcessEvent("fork", 20, 99, parent=10)


@pytest.mark.parametrize(
    "other", [message(FORK, 10, 10, 21, 20), message(EXIT, 10, 10, 0, 0), message(EXEC, 1, 1, 0, 0)[:40], b""]
)
def test_threads_exits_and_torn_messages_are_skipped(other: bytes) -> None:
    assert decode(other) is None


class Crowded:
    """A channel on which another's forks never end, and no acknowledgement comes."""

    def settimeout(self, seconds: float | None) -> None:
        pass

    def recv(self, _: int) -> bytes:
        return message(FORK, 10, 10, 21, 21)


def test_forks_for_another_listener_do_not_extend_the_wait_for_an_acknowledgement(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connector, "ACK_SECONDS", 0.05)
    with pytest.raises(TimeoutError):
        connector._await_acknowledgement(Crowded())  # type: ignore[arg-type]
