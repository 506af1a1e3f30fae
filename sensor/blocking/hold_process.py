"""The process that holds execs: `python -m sensor.blocking.hold_process`, started by `watchdog.py`."""

from __future__ import annotations

import argparse
import contextlib
import logging
import mmap
import os
import resource
import socket
import sys
from typing import Final

from sensor.blocking.hold_messages import HELD_MAPS
from sensor.blocking.hold_server import HoldServer
from sensor.blocking.watchdog import CANNOT_HOLD, die_with_parent
from sensor.capture.block_tables import BlockTableDescriptors, BlockTables
from sensor.capture.errors import CaptureUnavailable
from sensor.capture.fanotify.group import Fanotify
from sensor.capture.libbpf import Libbpf

MIN_DESCRIPTORS: Final = 8_192
"""Enough for 4,000 held execs; Linux distributions allow services far more."""

SWITCH_SECONDS: Final = 0.0005
"""How long one thread may keep Python's lock while others wait for it; usually ten times as long."""
PRIORITY: Final = -15
"""As of nice(1): every exec that waits here waits for this process. It takes CAP_SYS_NICE."""

log = logging.getLogger(__name__)


def _can_open_enough() -> bool:
    """Raise the soft limit of open files; returns whether it suffices.

    A held exec takes two, and the kernel fails the exec itself where it cannot open one more for fanotify.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard == resource.RLIM_INFINITY or hard >= MIN_DESCRIPTORS


def _be_quick() -> None:
    """Have the thread that answers execs wait neither for other threads nor, where allowed, for other processes."""
    sys.setswitchinterval(SWITCH_SECONDS)
    with contextlib.suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, PRIORITY)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m sensor.blocking.hold_process")
    for name in ("parent", "beat", "messages", *HELD_MAPS):
        parser.add_argument(f"--{name}", type=int, required=True)
    return parser.parse_args()


def main() -> int:
    """Run the server that `watchdog.py` starts; returns CANNOT_HOLD where execs cannot be held here."""
    arguments = _arguments()
    die_with_parent(arguments.parent)
    _be_quick()
    logging.basicConfig(level="INFO", format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    if not _can_open_enough():
        log.warning("Cannot hold execs: the hard limit of open files (RLIMIT_NOFILE) is below %d", MIN_DESCRIPTORS)
        return CANNOT_HOLD
    beat = mmap.mmap(arguments.beat, mmap.PAGESIZE)
    maps = {name: getattr(arguments, name) for name in HELD_MAPS}
    tables = BlockTables(Libbpf(), BlockTableDescriptors(enforcement=-1, image_names=-1, **maps))
    tables.remove_marks()
    try:
        group = Fanotify(permission=True, report_tid=True)
    except CaptureUnavailable as error:
        log.warning("Cannot hold execs: %s", error)
        return CANNOT_HOLD
    with group, socket.socket(fileno=arguments.messages) as messages:
        HoldServer(group, tables, messages, beat).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
