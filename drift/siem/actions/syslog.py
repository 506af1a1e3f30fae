"""Syslog over TCP or TLS (RFC 6587, RFC 5425), in a way that nothing is lost when the receiver dies.

Syslog acknowledges nothing: what was written may be in a buffer of a receiver that is killed a moment later. So each
batch ends its connection. The sender says that it has ended, and the receiver, which reads in order, closes its side
once it has read everything; a receiver that is killed before resets the connection. One that is killed just after it
has read is found by the connection of the next batch, which is open before the receiver can have read all, and outlives
it. A new one would be accepted by the successor of a dead receiver too, if that were up before this side looks.
"""

from __future__ import annotations

import array
import errno
import fcntl
import os
import socket
import ssl
import termios
import time
from typing import Final

import httpx

from drift.notify.actions.post_webhook import checked_host
from drift.notify.errors import AddressRejected
from drift.siem.errors import ForwardingFailed
from drift.siem.models import SiemDestination, Transport

CONNECT_SECONDS: Final = 5
BATCH_SECONDS: Final = 20
"""Limit of a batch, from its first byte to the receiver's end of the connection."""
SETTLE_SECONDS: Final = 0.02
"""From the end of one connection of a receiver that dies to the end of its last."""
CHUNK: Final = 65_536
ESTABLISHED: Final = 1
ENDED: Final = frozenset({6, 7})
"""States of TCP: TIME_WAIT and CLOSE, in which both ends have been acknowledged."""


class SyslogConnection:
    """Sends batches to one receiver. Raises ForwardingFailed; then nothing of the batch counts as delivered."""

    def __init__(self, destination: SiemDestination) -> None:
        self._destination = destination
        self._socket = self._encrypted(self._connect())

    def deliver(self, frames: bytes) -> None:
        """Send a batch and return once the receiver has read all of it, and outlived that."""
        deadline = time.monotonic() + BATCH_SECONDS
        following = self._connect()
        try:
            self._send(memoryview(frames), deadline)
            self._end(deadline)
            time.sleep(SETTLE_SECONDS)
            if _tcp_state(following) != ESTABLISHED:
                raise ConnectionResetError(errno.ECONNRESET, "The receiver died")
        except TimeoutError:
            following.close()
            raise ForwardingFailed(
                f"The receiver did not read all records and close the connection within {BATCH_SECONDS} s."
            ) from None
        except OSError as error:
            following.close()
            raise ForwardingFailed(f"The connection failed: {reason(error)}.") from None
        finally:
            self._socket.close()
        self._socket = self._encrypted(following)

    def close(self) -> None:
        """Close the connection that waits for the next batch."""
        self._socket.close()

    def _connect(self) -> socket.socket:
        port = self._destination.port or 0
        try:
            address = checked_host(self._destination.host, port)
            return socket.create_connection((address, port), timeout=CONNECT_SECONDS)
        except AddressRejected as error:
            raise ForwardingFailed(str(error)) from None
        except httpx.HTTPError:
            raise ForwardingFailed("The host's name could not be looked up.") from None
        except OSError as error:
            raise ForwardingFailed(f"No connection: {reason(error)}.") from None

    def _encrypted(self, plain: socket.socket) -> socket.socket:
        """Return the connection with TLS, where the destination has it."""
        if self._destination.transport != Transport.TLS:
            return plain
        try:
            plain.settimeout(CONNECT_SECONDS)
            return tls_context(self._destination.ca).wrap_socket(plain, server_hostname=self._destination.host)
        except OSError as error:
            plain.close()
            raise ForwardingFailed(f"No TLS connection: {reason(error)}.") from None

    def _send(self, frames: memoryview, deadline: float) -> None:
        while frames:
            self._socket.settimeout(_left(deadline))
            frames = frames[self._socket.send(frames[:CHUNK]) :]

    def _end(self, deadline: float) -> None:
        """Say that the batch has ended, and wait until the receiver, which has read all of it, has closed."""
        if isinstance(self._socket, ssl.SSLSocket):
            self._end_tls(self._socket, deadline)
            return
        if _tcp_state(self._socket) != ESTABLISHED:
            raise ConnectionResetError(errno.ECONNRESET, "The receiver closed early")
        self._socket.shutdown(socket.SHUT_WR)
        while True:
            self._socket.settimeout(_left(deadline))
            if not self._socket.recv(CHUNK):
                break
        # It answers our end only if it had acknowledged it: else both ended at once, and the rest may be unread.
        if _tcp_state(self._socket) not in ENDED:
            raise ConnectionResetError(errno.ECONNRESET, "The receiver closed early")
        _raise_pending(self._socket)

    def _end_tls(self, connection: ssl.SSLSocket, deadline: float) -> None:
        connection.settimeout(_left(deadline))
        try:
            self._socket = connection.unwrap()
        except ssl.SSLEOFError:
            # It closed without the notice that it owes (RFC 5425, section 4.4), as many do: then all that was sent
            # must be acknowledged, which a receiver that died before answers with a reset.
            connection.shutdown(socket.SHUT_WR)
            while _unacknowledged(connection):
                time.sleep(min(0.01, _left(deadline)))
                _raise_pending(connection)
            _raise_pending(connection)


def _tcp_state(connection: socket.socket) -> int:
    return connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]


def _unacknowledged(connection: socket.socket) -> int:
    """Return the number of bytes that the receiver's kernel has not acknowledged."""
    count = array.array("i", [0])
    fcntl.ioctl(connection, termios.TIOCOUTQ, count)
    return count[0]


def _raise_pending(connection: socket.socket) -> None:
    """Raise the error that the connection has ended with, if any."""
    if code := connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
        raise OSError(code, os.strerror(code))


def tls_context(ca: str) -> ssl.SSLContext:
    """Return a client's TLS context that trusts the PEM certificates `ca`, or the system's where it is empty."""
    context = ssl.create_default_context(cadata=ca or None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def reason(error: OSError) -> str:
    """Return what went wrong, in words of this side: never a string chosen by the receiver."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate is not valid ({error.verify_message})"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed ({error.reason or 'unknown'})"
    return (error.strerror or type(error).__name__).lower()


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left
