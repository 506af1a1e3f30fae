"""Starts the process that holds execs, and kills it when its heartbeat stops: else the execs it holds would hang.

Runs as a program of its own with the standard library alone and without site: small, quick to start, and with little
that can fail. `watchdog.py PARENT BEAT STALE COMMAND…`: PARENT is the pid that started it, BEAT a descriptor of a page
whose first 8 bytes are the time of the latest beat (monotonic ns), STALE the seconds that it may be old.
"""

import ctypes
import mmap
import os
import signal
import sys
import time

CANNOT_HOLD = 4
"""Exit status of a hold server that cannot work on this node."""
PR_SET_PDEATHSIG = 1
CHECK_SECONDS = 0.1
START_SECONDS = 10.0
"""Until the first beat: on a busy node a program takes time to start. It holds nothing before."""


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when its parent dies; ends at once where it has died already."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    # The parent may have died before the call above: then no signal will come.
    if os.getppid() != parent:
        os._exit(1)


def watch(server: int, beat: mmap.mmap, stale: float) -> int:
    """Wait until the hold server ends, by itself or killed for want of a beat; returns its exit status.

    The status is negative for a signal.
    """
    started = time.monotonic()
    while True:
        time.sleep(CHECK_SECONDS)
        ended, status = os.waitpid(server, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        last = int.from_bytes(beat[:8], "little") / 1e9
        limit = last + stale if last else started + START_SECONDS
        if time.monotonic() > limit:
            os.kill(server, signal.SIGKILL)


def main(arguments: list[str]) -> int:
    """Start COMMAND and watch it."""
    parent, beat, stale, *command = arguments
    die_with_parent(int(parent))
    page = mmap.mmap(int(beat), mmap.PAGESIZE, mmap.MAP_SHARED, mmap.PROT_READ)
    server = os.posix_spawn(command[0], [*command, "--parent", str(os.getpid())], os.environ)
    return watch(server, page, float(stale))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
