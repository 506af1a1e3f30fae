"""The kernel's process connector: forks and execs of processes, over netlink, in a thread of its own.

Messages: linux/connector.h and linux/cn_proc.h. Needs CAP_NET_ADMIN in the node's own network namespace.
"""

from __future__ import annotations

import ctypes
import dataclasses
import errno
import os
import select
import socket
import struct
import threading
import time
from typing import TYPE_CHECKING, Final, Literal

from sensor.capture.errors import CaptureUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

NETLINK_CONNECTOR: Final = 11
_PROC_GROUP: Final = 1
_LISTEN: Final = 1
_NLMSG_DONE: Final = 3
_SO_ATTACH_FILTER: Final = 26
_SO_RCVBUFFORCE: Final = 33
_ACK: Final = 0x0000_0000
_FORK: Final = 0x0000_0001
_EXEC: Final = 0x0000_0002
_REQUEST: Final = struct.Struct("=IHHII" + "IIIIHH" + "I")
_HEAD: Final = struct.Struct("=IHHII" + "IIIIHH" + "IIQ")
_WHAT_OFFSET: Final = 36
_PIDS: Final = struct.Struct("=IIII")
RECEIVE_BYTES: Final = 16 * 1024 * 1024
"""Buffer for some 20,000 messages while the thread is busy."""
ACK_SECONDS: Final = 2.0


@dataclasses.dataclass(frozen=True, slots=True)
class ProcessEvent:
    """A process that forked off or that ran a new program; `time_ns` since boot without sleep (CLOCK_MONOTONIC)."""

    what: Literal["fork", "exec"]
    pid: int
    time_ns: int
    parent: int | None = None
    """Of a fork."""


class Connector:
    """Reads in a thread and hands over each event there. `close` ends it."""

    def __init__(self, handle: Callable[[ProcessEvent], None]) -> None:
        """Raises CaptureUnavailable. `handle` must be quick and raise nothing."""
        self._handle = handle
        self._socket = _subscribed()
        self._stopping = threading.Event()
        self._wake, self._woken = os.pipe2(os.O_CLOEXEC)
        self.lost = 0
        """Times that messages found the buffer full: the kernel does not say how many."""
        self.failed: OSError | None = None
        """Why the thread ended by itself, if it did."""
        self._thread = threading.Thread(target=self._run, name="process connector", daemon=True)

    def start(self) -> None:
        """Begin to hand events over."""
        self._thread.start()

    def close(self) -> None:
        """End the thread and the subscription; safe to call twice."""
        if self._stopping.is_set():
            return
        self._stopping.set()
        os.close(self._woken)
        if self._thread.ident is not None:
            self._thread.join()
        os.close(self._wake)
        self._socket.close()

    def _run(self) -> None:
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        poll.register(self._wake, select.POLLIN)
        while not self._stopping.is_set():
            poll.poll()
            try:
                self._drain()
            except OSError as error:
                self.failed = error
                return

    def _drain(self) -> None:
        while not self._stopping.is_set():
            try:
                message = self._socket.recv(4096, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                self.lost += 1
                continue
            event = decode(message)
            if event is not None:
                self._handle(event)


def decode(message: bytes) -> ProcessEvent | None:
    """Return the fork or exec in one netlink message; None for all else, threads too."""
    if len(message) < _HEAD.size + _PIDS.size:
        return None
    what, _, time_ns = _HEAD.unpack_from(message)[-3:]
    _, second, third, fourth = _PIDS.unpack_from(message, _HEAD.size)
    if what == _EXEC:
        return ProcessEvent("exec", second, time_ns)
    if what == _FORK and third == fourth:
        return ProcessEvent("fork", fourth, time_ns, parent=second)
    return None


def _subscribed() -> socket.socket:
    try:
        channel = socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC, NETLINK_CONNECTOR)
    except OSError as error:
        raise _unavailable(error) from None
    try:
        _widen(channel)
        _attach_filter(channel)
        channel.bind((0, _PROC_GROUP))
        channel.send(_request())
        _await_acknowledgement(channel)
    except OSError as error:
        channel.close()
        raise _unavailable(error) from None
    return channel


def _widen(channel: socket.socket) -> None:
    try:
        channel.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, RECEIVE_BYTES)
    except PermissionError:
        channel.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)


def _attach_filter(channel: socket.socket) -> None:
    """A classic BPF program (linux/filter.h) that lets acknowledgements, forks and execs through."""
    wanted = [socket.htonl(what) for what in (_ACK, _FORK, _EXEC)]
    load = [(0x20, 0, 0, _WHAT_OFFSET)]
    jumps = [(0x15, len(wanted) - index, 0, what) for index, what in enumerate(wanted)]
    steps = [*load, *jumps, (0x06, 0, 0, 0), (0x06, 0, 0, 0xFFFFFFFF)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in steps))
    program = struct.pack("HP", len(steps), ctypes.addressof(code))
    channel.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)


def _request() -> bytes:
    header = (_REQUEST.size, _NLMSG_DONE, 0, 0, os.getpid())
    return _REQUEST.pack(*header, 1, 1, 0, 0, 4, 0, _LISTEN)


def _await_acknowledgement(channel: socket.socket) -> None:
    """The kernel acknowledges, with an error number; outside the node's own namespaces it does not.

    One deadline for all messages: forks and execs may come without an end, as others have subscribed too.
    """
    deadline = time.monotonic() + ACK_SECONDS
    while True:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        channel.settimeout(left)
        message = channel.recv(4096)
        if len(message) >= _HEAD.size + 4 and _HEAD.unpack_from(message)[-3] == _ACK:
            code = int.from_bytes(message[_HEAD.size : _HEAD.size + 4], "little")
            if code:
                raise OSError(code, os.strerror(code))
            break
    channel.settimeout(None)


def _unavailable(error: OSError) -> CaptureUnavailable:
    if isinstance(error, PermissionError):
        return CaptureUnavailable("process connector: needs root (CAP_NET_ADMIN)")
    if isinstance(error, TimeoutError | ConnectionRefusedError):
        return CaptureUnavailable("process connector: needs the node's own network and pid namespace (hostNetwork)")
    return CaptureUnavailable(f"process connector: needs a kernel with CONFIG_PROC_EVENTS ({error.strerror})")
