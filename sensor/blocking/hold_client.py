"""The sensor's side of the process that holds execs: starts it under its guard, tells it what to hold, minds it too."""

from __future__ import annotations

import contextlib
import logging
import mmap
import os
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any, Final

from sensor.blocking import watchdog as guard
from sensor.blocking.hold_messages import (
    ExpectContainer,
    FollowPolicy,
    ForgetContainer,
    HoldMessage,
    WatchContainer,
    encoded_line,
)
from sensor.operations import subprocesses as children

if TYPE_CHECKING:
    from sensor.blocking.block_plan import ClusterLocation
    from sensor.blocking.container_tracker import TrackedContainer
    from sensor.capture.block_tables import BlockTables

STALE_SECONDS: Final = 1.0
"""Without a beat for so long the guard kills the holder, and all that it held goes on."""
OWN_STALE_SECONDS: Final = 2.0
"""The same here, should the guard be frozen as well."""
SEND_SECONDS: Final = 1.0
FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 60.0
"""Seconds until a holder that ended is started again, doubled each time it ends soon."""
HOPELESS_PAUSE: Final = 3_600.0
"""The same where the kernel or a missing capability does not let it hold execs."""

log = logging.getLogger(__name__)


class HoldClient:
    """Not thread-safe. What it was told last is told again to a holder that had to be started anew."""

    def __init__(self, tables: BlockTables, place: ClusterLocation) -> None:
        self._tables, self._place = tables, place
        self._follow: FollowPolicy | None = None
        self._is_wanted = self._is_told = False
        self._watched: dict[int, WatchContainer] = {}
        self._expected: dict[int, bytes] = {}
        self._guard: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._beat: mmap.mmap | None = None
        self._pause, self._start_at, self._started = FIRST_PAUSE, 0.0, 0.0

    @property
    def is_up(self) -> bool:
        """Whether execs are held, or would be. From any thread."""
        return self._beaten() > 0

    def follow(self, document: dict[str, Any]) -> None:
        """Decide by this policy; without a rule that blocks nothing is ever held."""
        self._follow = FollowPolicy(document, *self._place)
        self._is_wanted = any(rule["action"] == "block" and rule["enabled"] for rule in document["rules"])
        self._send(self._follow)

    def expect(self, dev: int, point: bytes) -> None:
        """Keep the execs of a container that is being asked for; it ends soon by itself, and by `watch` or `forget`.

        A holder that starts meanwhile is not told: what it finds may run for long.
        """
        if self._is_told:
            self._expected[dev] = point
            self._send(ExpectContainer(dev, point))

    def watch(self, dev: int, known: TrackedContainer) -> None:
        """Hold the execs of a container; `known.plan.kinds` the kernel blocks without."""
        layers, container = known.layers, known.resolved.container
        message = WatchContainer(dev, known.point, list(layers.lowers), layers.upper, container, known.plan.kinds)
        self._expected.pop(dev, None)
        self._watched[dev] = message
        self._send(message)

    def forget(self, dev: int) -> None:
        """Hold them no more."""
        before = self._watched.pop(dev, None)
        point = self._expected.pop(dev, before.point if before is not None else None)
        if point is not None:
            self._send(ForgetContainer(dev, point))

    def turn(self) -> None:
        """Start the holder where the policy blocks and none runs; end one that is stuck, or not needed any more."""
        if not self._is_wanted:
            self._end()
            return
        if self._guard is not None and (self._guard.poll() is not None or self._is_stale()):
            self._lose(self._guard.returncode)
        if self._guard is None and time.monotonic() >= self._start_at:
            self._start()
        elif self.is_up and not self._is_told:
            self._tell_all()

    def _lose(self, status: int | None) -> None:
        """Wait a while before the next start: long where execs can't be held here at all."""
        self._end()
        if time.monotonic() - self._started > LONGEST_PAUSE:
            self._pause = FIRST_PAUSE
        pause = HOPELESS_PAUSE if status == guard.CANNOT_HOLD else self._pause
        self._start_at, self._pause = time.monotonic() + pause, min(2 * self._pause, LONGEST_PAUSE)
        log.warning("The process that holds execs ended (%s); it is started again in %.0f s", status, pause)

    def close(self) -> None:
        """Let everything go."""
        self._end()

    def _beaten(self) -> int:
        beat = self._beat
        return int.from_bytes(beat[:8], "little") if beat is not None else 0

    def _is_stale(self) -> bool:
        last = self._beaten() / 1e9
        since = time.monotonic() - (last or self._started)
        return since > (OWN_STALE_SECONDS if last else guard.START_SECONDS)

    def _start(self) -> None:
        beat = os.memfd_create("beat")
        os.truncate(beat, mmap.PAGESIZE)
        self._beat = mmap.mmap(beat, mmap.PAGESIZE)
        self._socket, theirs = socket.socketpair()
        self._socket.settimeout(SEND_SECONDS)
        passed = [beat, theirs.fileno(), self._tables.fds.marks, self._tables.fds.guard]
        try:
            self._guard = subprocess.Popen(
                _command(*passed),
                pass_fds=passed,
                env=children.environment(),
                stdin=subprocess.DEVNULL,
                # A signal to all of the sensor's process group, as by Ctrl-Z, must not stop those that hold execs.
                start_new_session=True,
            )
        finally:
            os.close(beat)
            theirs.close()
        self._started = time.monotonic()

    def _tell_all(self) -> None:
        """Once it listens: what many containers make is more than a socket holds for a program that is starting."""
        self._is_told = True
        for message in (self._follow, *self._watched.values()):
            if message is not None:
                self._send(message)

    def _send(self, message: HoldMessage) -> None:
        if self._socket is None or not self._is_told:
            return
        try:
            self._socket.sendall(encoded_line(message))
        except OSError as error:
            # Half a line may be on its way: the holder can't be told anything more.
            log.warning("The process that holds execs takes no orders: %s", error)
            self._lose(None)

    def _end(self) -> None:
        if self._guard is not None:
            self._guard.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._guard.wait(SEND_SECONDS)
            self._guard = None
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        self._beat, self._is_told = None, False


def _command(beat: int, orders: int, marks: int, guarded: int) -> list[str]:
    """The guard, and behind it what it starts."""
    own = [sys.executable, "-I", "-S", guard.__file__, str(os.getpid()), str(beat), str(STALE_SECONDS)]
    options = [f"--beat={beat}", f"--orders={orders}", f"--marks={marks}", f"--guard={guarded}"]
    return [*own, *children.command("sensor.blocking.hold_server", *options)]
