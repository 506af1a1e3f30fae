"""The sensor's side of the hold server: starts it under its watchdog, sends what to hold, and watches it too."""

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

from sensor.blocking import watchdog
from sensor.blocking.hold_messages import (
    HELD_MAPS,
    ExpectContainer,
    FollowPolicy,
    ForgetContainer,
    HoldMessage,
    WatchContainer,
    encoded_line,
)
from sensor.operations import subprocesses
from sensor.policy.decisions import blocking_rules

if TYPE_CHECKING:
    from sensor.blocking.block_plan import ClusterLocation
    from sensor.blocking.container_tracker import TrackedContainer
    from sensor.capture.block_tables import BlockTables

STALE_SECONDS: Final = 1.0
"""After so long without a beat the watchdog kills the hold server, and every exec that it held runs."""
OWN_STALE_SECONDS: Final = 2.0
"""After so long the sensor kills both, should the watchdog be frozen as well."""
SEND_SECONDS: Final = 1.0
FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 60.0
"""Seconds until a hold server that ended is restarted, doubled each time it ends soon."""
CANNOT_HOLD_PAUSE: Final = 3_600.0
"""The same where the kernel or a missing capability does not allow holding execs."""

log = logging.getLogger(__name__)


class HoldClient:
    """Starts and feeds the hold server; a restarted one gets the whole state again. Not thread-safe."""

    def __init__(self, tables: BlockTables, location: ClusterLocation) -> None:
        self._tables, self._location = tables, location
        self._policy: FollowPolicy | None = None
        self._is_wanted = self._is_synced = False
        self._watched: dict[int, WatchContainer] = {}
        self._expected: dict[int, bytes] = {}
        self._watchdog: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._beat: mmap.mmap | None = None
        self._pause, self._start_at, self._started = FIRST_PAUSE, 0.0, 0.0

    @property
    def is_up(self) -> bool:
        """Whether the hold server runs and has sent a beat. Any thread may read it."""
        return self._last_beat_ns() > 0

    def follow(self, document: dict[str, Any]) -> None:
        """Decide by this policy; where neither an enabled rule nor the default rule blocks, no exec is ever held."""
        self._policy = FollowPolicy(document, *self._location)
        self._is_wanted = bool(blocking_rules(document))
        self._send(self._policy)

    def expect(self, dev: int, point: bytes) -> None:
        """Hold the execs of a container that is being identified, until `watch`, `forget` or two seconds have passed.

        A hold server that starts later does not hold them: by then the container may have run for long.
        """
        if self._is_synced:
            self._expected[dev] = point
            self._send(ExpectContainer(dev, point))

    def watch(self, dev: int, known: TrackedContainer, *, denies_new: bool = False) -> None:
        """Hold the execs of a container; the kernel blocks `known.plan.kinds` without that.

        `denies_new`: its workload is past the kill limit.
        """
        layers, container = known.layers, known.resolved.container
        lowers, kinds = list(layers.lowers), known.plan.kinds
        role = known.resolved.role
        message = WatchContainer(dev, known.point, lowers, layers.upper, container, kinds, denies_new, role)
        self._expected.pop(dev, None)
        self._watched[dev] = message
        self._send(message)

    def forget(self, dev: int) -> None:
        """Stop holding the execs of a container."""
        watched = self._watched.pop(dev, None)
        point = self._expected.pop(dev, watched.point if watched is not None else None)
        if point is not None:
            self._send(ForgetContainer(dev, point))

    def update(self) -> None:
        """Start the hold server where the policy blocks; end one that is stuck or not needed any more."""
        if not self._is_wanted:
            self._end()
            return
        if self._watchdog is not None and (self._watchdog.poll() is not None or self._is_stale()):
            self._restart_later(self._watchdog.returncode)
        if self._watchdog is None and time.monotonic() >= self._start_at:
            self._start()
        elif self.is_up and not self._is_synced:
            self._sync()

    def _restart_later(self, status: int | None) -> None:
        """End the hold server and set the pause before its restart."""
        self._end()
        if time.monotonic() - self._started > LONGEST_PAUSE:
            self._pause = FIRST_PAUSE
        pause = CANNOT_HOLD_PAUSE if status == watchdog.CANNOT_HOLD else self._pause
        self._start_at, self._pause = time.monotonic() + pause, min(2 * self._pause, LONGEST_PAUSE)
        log.warning("The hold server ended (%s); restarting in %.0f s", status, pause)

    def close(self) -> None:
        """End the hold server; every exec that it held runs."""
        self._end()

    def _last_beat_ns(self) -> int:
        beat = self._beat
        return int.from_bytes(beat[:8], "little") if beat is not None else 0

    def _is_stale(self) -> bool:
        last = self._last_beat_ns() / 1e9
        age = time.monotonic() - (last or self._started)
        return age > (OWN_STALE_SECONDS if last else watchdog.START_SECONDS)

    def _start(self) -> None:
        beat = os.memfd_create("beat")
        os.truncate(beat, mmap.PAGESIZE)
        self._beat = mmap.mmap(beat, mmap.PAGESIZE)
        self._socket, theirs = socket.socketpair()
        self._socket.settimeout(SEND_SECONDS)
        fds = self._tables.fds
        maps = {name: getattr(fds, name) for name in HELD_MAPS}
        passed = {"beat": beat, "messages": theirs.fileno(), **maps}
        try:
            self._watchdog = subprocess.Popen(
                _command(**passed),
                pass_fds=tuple(passed.values()),
                env=subprocesses.environment(),
                stdin=subprocess.DEVNULL,
                # A signal to the sensor's process group, such as Ctrl-Z's, must not stop the process that holds execs.
                start_new_session=True,
            )
        finally:
            os.close(beat)
            theirs.close()
        self._started = time.monotonic()

    def _sync(self) -> None:
        # Only once it reads: the messages of many containers exceed what a socket buffers for a starting program.
        self._is_synced = True
        for message in (self._policy, *self._watched.values()):
            if message is not None:
                self._send(message)

    def _send(self, message: HoldMessage) -> None:
        if self._socket is None or not self._is_synced:
            return
        try:
            self._socket.sendall(encoded_line(message))
        except OSError as error:
            # Half a line may be sent: nothing after it could be parsed.
            log.warning("The hold server accepts no messages: %s", error)
            self._restart_later(None)

    def _end(self) -> None:
        if self._watchdog is not None:
            self._watchdog.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._watchdog.wait(SEND_SECONDS)
            self._watchdog = None
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        self._beat, self._is_synced = None, False


def _command(**descriptors: int) -> list[str]:
    """Return the watchdog's command line, with the hold server's behind it."""
    own = [watchdog.__file__, str(os.getpid()), str(descriptors["beat"]), str(STALE_SECONDS)]
    options = [f"--{name}={fd}" for name, fd in descriptors.items()]
    held = subprocesses.command("sensor.blocking.hold_process", *options)
    return [sys.executable, "-I", "-S", *own, *held]
