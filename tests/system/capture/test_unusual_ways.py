"""Unusual ways to a program: whatever name, descriptor, thread or mount leads to it, it is judged by its own file.

In podman, or with `UNUSUAL_IN=pod` in pods.
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

import bench
from tests.system import needs
from tests.system.capture.lines import LD, RUN_TOOL, Line, taken_away

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.system.capture.bed import Collector, Watch

pytestmark = pytest.mark.container

RUNTIME: Final = os.environ.get("UNUSUAL_IN", "podman")
PROGRAM: Final = "/tmp/busybox-u"
NEW: Final = f"cat /bin/busybox > {PROGRAM}; echo >> {PROGRAM}; chmod +x {PROGRAM}; "
ITSELF: Final = (("new_file", PROGRAM),)
SCRIPT: Final = "printf '#!/bin/sh\\nexit 0\\n'"
LONG: Final = "busybox-" + "u" * 240
OWN: Final = ("--hostname=unusual",)
"""A container of its own, for what would change later lines."""
LINES: Final = (
    Line("through the root of the process", f"{NEW}/proc/self/root{PROGRAM} true", ITSELF),
    Line("through the root of the first process", f"{NEW}/proc/1/root{PROGRAM} true", ITSELF),
    Line("through the working directory", f"{NEW}cd /tmp; /proc/self/cwd/busybox-u true", ITSELF),
    Line("through a descriptor", f"{NEW}exec 3< {PROGRAM}; /proc/self/fd/3 true", ITSELF),
    Line("through directories of the image", f"{NEW}/usr/bin/../..{PROGRAM} true", ITSELF),
    Line("through a new symlink to its directory", f"{NEW}ln -s /tmp /usr/away; /usr/away/busybox-u true", ITSELF),
    Line("by another thread than the first", f"{NEW}run threaded -- {PROGRAM} true", ITSELF),
    Line("without ever a name", "run unnamed /tmp/busybox-sentinel true", (("new_file", "/tmp/#"),)),
    Line("by a name of 248 bytes", f"{NEW}cp {PROGRAM} /tmp/{LONG}; /tmp/{LONG} true", (("new_file", f"/tmp/{LONG}"),)),
    Line(
        "by a hard link beside the image's",
        f"{NEW}ln {PROGRAM} /usr/bin/u; /usr/bin/u true",
        (("new_file", "/usr/bin/u"),),
    ),
    Line("in a user namespace", f"{NEW}unshare -U -r {PROGRAM} true", ITSELF, privileged=True),
    Line("in a pid namespace", f"{NEW}unshare -p -f {PROGRAM} true", ITSELF, privileged=True),
    Line(
        "a script through a descriptor",
        f"{SCRIPT} > /tmp/u.sh; chmod +x /tmp/u.sh; exec 3< /tmp/u.sh; /proc/self/fd/3",
        (("script", "/tmp/u.sh"),),
    ),
    Line(
        "a script whose interpreter is drift",
        f"{NEW}printf '#!{PROGRAM} true\\n' > /tmp/v.sh; chmod +x /tmp/v.sh; /tmp/v.sh",
        ITSELF,
    ),
    Line(
        "the loader under another name",
        f"cp {LD} /tmp/ld-u; /tmp/ld-u /usr/bin/dynamic 0",
        (("copy_of_image_file", "/tmp/ld-u"),),
    ),
    Line(
        "a program of the image under another name",
        "cp /usr/bin/run /usr/bin/victim; mv /usr/bin/victim /usr/bin/moved; /usr/bin/moved; "
        "mv /usr/bin/moved /usr/bin/victim",
        (("copy_of_image_file", "/usr/bin/moved"),),
    ),
    Line(
        "in a directory that was bound over the image's",
        f"{NEW}mount --bind /tmp /opt; /opt/busybox-u true; {taken_away('/opt')}",
        (("foreign_mount", "/opt/busybox-u"),),
        privileged=True,
    ),
    Line(
        "on a mount over the runtime's, in namespaces and a root of its own",
        f"{NEW}unshare -U -r -m sh -c 'mount -t tmpfs x /scratch; cp {PROGRAM} /scratch/u; chroot /scratch /u sleep 1'",
        (("foreign_mount", "/scratch/u"),),
        privileged=True,
    ),
    Line(
        "from an overlay of its own that is the root of its mount namespace",
        "mkdir -p /scratch/up /scratch/work /scratch/root; cp /tmp/busybox-sentinel /scratch/up/busybox-evil; "
        "unshare -m sh -c 'mount -t overlay o -o lowerdir=/opt,upperdir=/scratch/up,workdir=/scratch/work "
        "/scratch/root; cd /scratch/root; mkdir old; busybox pivot_root . old; exec /busybox-evil sleep 1'",
        (("foreign_mount", "/busybox-evil"),),
        privileged=True,
    ),
    Line(
        "in a mount namespace made in a chroot on the node's disk",
        f"{NEW}cp {PROGRAM} /data/busybox-c; cp /tmp/busybox-sentinel /data/busybox-n; "
        "chroot /data /busybox-c sh -c '/busybox-c sleep 1; exec /busybox-c unshare -m /busybox-n sleep 1'",
        (*(("volume", "/data/busybox-c"),) * 3, ("volume", "/data/busybox-n")),
        privileged=True,
        by_fanotify=(*(("volume", "/data/busybox-c"),) * 3, ("foreign_mount", "/data/busybox-n")),
    ),
    Line(
        "on a mount that was moved",
        f"mkdir -p /mnt /moved; mount -t tmpfs x /mnt; cp /bin/busybox /mnt/busybox-m; mount --move /mnt /moved; "
        f"/moved/busybox-m true; {taken_away('/moved')}",
        (("foreign_mount", "/moved/busybox-m"),),
        privileged=True,
    ),
    Line(
        "a script in the place of the image's, in a directory that was made anew",
        f"cp /opt/entry.sh /tmp/e; rm -r /opt; mkdir /opt; {SCRIPT} > /opt/entry.sh; echo >> /opt/entry.sh; "
        "chmod +x /opt/entry.sh; /opt/entry.sh",
        (("script", "/opt/entry.sh"),),
        options=OWN,
    ),
    Line(
        "the image's own script, in a directory that was made anew",
        "cat /tmp/e > /opt/entry.sh; /opt/entry.sh",
        options=OWN,
    ),
    Line("the image's through the root of the process", "/proc/self/root/bin/busybox true; /proc/1/root/opt/entry.sh"),
    Line("the image's by another thread than the first", "run threaded -- /bin/busybox true"),
    Line("the image's whose owner changed", f"chown 1:1 /usr/bin/run; {RUN_TOOL}; chown 0:0 /usr/bin/run"),
    Line(
        "the image's through a mount of the whole root",
        f"mkdir -p /mnt; mount --bind / /mnt; /mnt/bin/busybox true; chroot /mnt /opt/entry.sh; {taken_away('/mnt')}",
        privileged=True,
    ),
    Line(
        "in a detached copy of its directory's mount",
        f"{NEW}run detached -- /tmp//busybox-u sleep 3",
        (("foreign_mount", "/busybox-u"),),
        privileged=True,
        by_fanotify=(("new_file", "/busybox-u"),),
    ),
    Line(
        "in a detached copy where the image has a file of its size",
        "mkdir -p /tmp/detached/bin; cp /bin/busybox /tmp/detached/bin; printf x | dd bs=1 seek=9 "
        "conv=notrunc of=/tmp/detached/bin/busybox 2>/dev/null; run detached -- /tmp/detached//bin/busybox sleep 3",
        (("foreign_mount", "/bin/busybox"),),
        privileged=True,
        by_fanotify=(("replaced", "/bin/busybox"),),
    ),
    Line("the image's in a detached copy of the root's mount", "run detached -- //bin/busybox true", privileged=True),
    Line("a script without an interpreter", "printf '#!/gone\\n' > /tmp/w.sh; chmod +x /tmp/w.sh; /tmp/w.sh"),
    Line("a file that Linux does not run", "echo exit > /tmp/plain; chmod +x /tmp/plain; /tmp/plain"),
)


WHERE_TOLD_BY_MOUNTS: Final = [line for line in LINES if re.search("run detached|pivot_root|chroot /data", line.script)]
"""Lines of which the fallback must find out by itself what is mounted where."""


@pytest.mark.parametrize(
    ("line", "backend"),
    [*((line, "ebpf") for line in LINES), *((line, "fanotify") for line in WHERE_TOLD_BY_MOUNTS)],
    ids=lambda value: value.name if isinstance(value, Line) else value,
)
def test_it_is_judged_by_its_own_file(line: Line, backend: str, watch_of: Callable[..., Watch]) -> None:
    if line.options and RUNTIME != "podman":
        pytest.skip("needs a container of its own, by an option of podman's")
    watch = watch_of(RUNTIME, line.privileged, line.options)
    events = watch.drift(line.script, backend)
    # The kernel calls a file that never had a name by its inode's number.
    seen = ((event.kind, re.sub(r"/#\d+$", "/#", event.process.path)) for event in events)
    assert tuple(seen) == line.expected(backend)


def gone_so_far(watch: Watch, fallback: Collector) -> int:
    """Return how many execs the fallback has counted as lost with their process, once it has seen all until now."""
    watch.run("# nothing", watch.box.id)
    return fallback.capture.counters().lost.get("process_gone", 0)


IN_NEW_NAMESPACES: Final = "for i in $(seq 30); do unshare -m /bin/true; (/bin/true); /opt/entry.sh; done"


def test_the_image_s_programs_that_end_at_once_in_namespaces_of_their_own_are_not_reported(
    watch_of: Callable[..., Watch], seen_by: dict[str, Collector]
) -> None:
    """The kernel gives the ids of their mounts again, as those of what was mounted before."""
    watch, fallback = watch_of(RUNTIME, True), seen_by["fanotify"]
    before = gone_so_far(watch, fallback)
    assert watch.drift(IN_NEW_NAMESPACES, "fanotify") == []
    assert gone_so_far(watch, fallback) == before


ON_THE_NODE: Final = (
    "for i in $(seq 20); do /bin/true; (/bin/true); unshare -m /bin/true; unshare -m sh -c '(/bin/true)'; done"
)


def test_programs_of_the_node_that_end_at_once_are_not_lost_ones_of_containers(
    watch_of: Callable[..., Watch], seen_by: dict[str, Collector]
) -> None:
    """Nor are those of its services, which may have mount namespaces of their own."""
    watch, fallback = watch_of("podman", False), seen_by["fanotify"]
    before = gone_so_far(watch, fallback)
    subprocess.run(["/bin/sh", "-c", ON_THE_NODE], check=True)
    for _ in range(4):
        watch.box.shell("/bin/true")
    assert gone_so_far(watch, fallback) == before


STORM: Final = str(Path(bench.__file__).with_name("sensor_storm.c"))
AT_ONCE: Final = 100
FROM_MEMORY: Final = f"run kept /tmp/small /bin/sh -c 'for i in $(seq {AT_ONCE}); do /proc/self/fd/3; done'"


def test_programs_of_a_container_that_end_at_once_are_reported_or_counted(
    watch_of: Callable[..., Watch], seen_by: dict[str, Collector], tmp_path: Path
) -> None:
    """Of one that began after the sensor: its mount namespace was known before its runtime had made its root."""
    watch, fallback = watch_of("podman", False, ("--hostname=at-once",)), seen_by["fanotify"]
    watch.box.put(needs.tool(tmp_path / "small", "-static", "-nostdlib", "-DSMALL", source=STORM), "/tmp/small")
    before = gone_so_far(watch, fallback)
    reported = watch.drift(FROM_MEMORY, "fanotify")
    counted = gone_so_far(watch, fallback) - before
    assert counted > 0
    assert len(reported) + counted == AT_ONCE
