"""Starts the process that holds execs, and kills it when it stops beating: else the execs it holds would hang.

Run as a program of its own, with the standard library alone and no site: so it is small, starts fast and can hardly
fail. `guard.py PARENT BEAT STALE COMMAND…`: PARENT is the pid that started it, BEAT a descriptor of a page whose
first 8 bytes are the holder's last beat (monotonic ns), STALE the seconds without one that it may take.
"""

import ctypes
import mmap
import os
import signal
import sys
import time

CANNOT_HOLD = 4
"""Exit status of a holder that can't do its work on this node."""
PR_SET_PDEATHSIG = 1
LOOK_SECONDS = 0.1
START_SECONDS = 10.0
"""Until the first beat: on a busy node a program takes its time to start. It holds nothing before."""


def die_with(parent: int) -> None:
    """Be killed when the process that started this one dies; ends at once where it has."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def watch(holder: int, beat: mmap.mmap, stale: float) -> int:
    """Until the holder ends, by itself or for want of a beat; its exit status, negative for a signal."""
    started = time.monotonic()
    while True:
        time.sleep(LOOK_SECONDS)
        ended, status = os.waitpid(holder, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        last = int.from_bytes(beat[:8], "little") / 1e9
        limit = last + stale if last else started + START_SECONDS
        if time.monotonic() > limit:
            os.kill(holder, signal.SIGKILL)


def main(arguments: list[str]) -> int:
    parent, beat, stale, *command = arguments
    die_with(int(parent))
    page = mmap.mmap(int(beat), mmap.PAGESIZE, mmap.MAP_SHARED, mmap.PROT_READ)
    holder = os.posix_spawn(command[0], [*command, "--parent", str(os.getpid())], os.environ)
    return watch(holder, page, float(stale))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
