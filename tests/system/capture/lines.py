"""Lines that must be caught or must not be reported, with their events (docs/detection.md#caught-and-not-reported)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

LIVES: Final = "sleep 0.05"
"""What a drifted program does: the fallback reads arguments of what is still there."""
SEEN_LATE: Final = "sleep 1"
"""The same where the fallback has to find the process alive to see anything."""
LD: Final = "/lib64/ld-linux-x86-64.so.2"


def taken_away(mount: str) -> str:
    """Unmount, again where the sensor reads a file there at that moment: what stays would change later lines."""
    return f"until umount {mount}; do sleep 0.1; done"


@dataclass(frozen=True)
class Line:
    """A command, and the (kind, path) of each event that every backend must report for it; none: nothing.

    `by_fanotify` is the result of the fallback where it differs, and `why` explains it in the docs.
    `drop` is where the altered program is copied to from outside, first. `options` are those of podman, for a container
    of its own: such a line runs there alone. `{image}` in them is the container's own image.
    """

    name: str
    script: str
    events: tuple[tuple[str, str], ...] = ()
    privileged: bool = False
    drop: str = ""
    options: tuple[str, ...] = ()
    by_fanotify: tuple[tuple[str, str], ...] | None = None
    why: str = ""

    def expected(self, backend: str) -> tuple[tuple[str, str], ...]:
        """The (kind, path) of each event, in order."""
        return self.by_fanotify if backend == "fanotify" and self.by_fanotify is not None else self.events


DEEP: Final = "/tmp" + "/d" * 150
CAUGHT: Final = (
    Line(
        "binary copied in from outside",
        f"cd /tmp; ./busybox-miner {LIVES}",
        (("new_file", "/tmp/busybox-miner"),),
        drop="/tmp/busybox-miner",
    ),
    Line(
        "binary written and made executable",
        f"cat /bin/busybox > /tmp/busybox-a; echo >> /tmp/busybox-a; chmod +x /tmp/busybox-a; /tmp/busybox-a {LIVES}",
        (("new_file", "/tmp/busybox-a"),),
    ),
    Line(
        "image file replaced in place",
        "cp /tmp/busybox-sentinel /usr/bin/victim; /usr/bin/victim",
        (("replaced", "/usr/bin/victim"),),
    ),
    Line(
        "image file replaced by a rename",
        "cp /tmp/busybox-sentinel /tmp/x; mv /tmp/x /usr/bin/victim; /usr/bin/victim",
        (("replaced", "/usr/bin/victim"),),
        privileged=True,
    ),
    Line(
        "copy of an image binary",
        f"cp /bin/busybox /tmp/busybox-cp; /tmp/busybox-cp {LIVES}",
        (("copy_of_image_file", "/tmp/busybox-cp"),),
    ),
    Line(
        "hard link to an image binary",
        f"ln /bin/busybox /tmp/busybox-ln; /tmp/busybox-ln {LIVES}",
        (("copy_of_image_file", "/tmp/busybox-ln"),),
    ),
    Line("memfd", f"run memfd /bin/busybox {SEEN_LATE}", (("fileless", "/memfd:payload"),)),
    Line(
        "executable unlinked before it ran",
        "cp /tmp/busybox-sentinel /tmp/busybox-gone; run deleted /tmp/busybox-gone sleep 0.2",
        (("new_file", "/tmp/busybox-gone"),),
    ),
    Line(
        "file on a bind volume",
        f"cp /bin/busybox /data/busybox-v; /data/busybox-v {LIVES}",
        (("volume", "/data/busybox-v"),),
    ),
    Line(
        "file on a tmpfs of the runtime",
        f"cp /bin/busybox /scratch/busybox-v; /scratch/busybox-v {LIVES}",
        (("volume", "/scratch/busybox-v"),),
    ),
    Line(
        "dropped `#!` script",
        f"printf '#!/bin/sh\\n{LIVES}\\nexit 0\\n' > /tmp/drop.sh; chmod +x /tmp/drop.sh; cd /tmp; ./drop.sh now",
        (("script", "/tmp/drop.sh"),),
    ),
    Line(
        "`#!` script in a memfd",
        f"printf '#!/bin/sh\\n{SEEN_LATE}\\nexit 0\\n' > /tmp/memory.sh; run memfd /tmp/memory.sh",
        (("script", "/memfd:payload"),),
        by_fanotify=(),
        why="no memfd is opened on a filesystem that can be marked",
    ),
    Line(
        "script between two of the image, replaced",
        f"printf '#!/bin/sh\\n{LIVES}\\nexit 0\\n' > /opt/middle.sh; /opt/outer.sh;"
        "printf '#!/bin/sh\\nexit 0\\n' > /opt/middle.sh",
        (("script", "/opt/middle.sh"),),
    ),
    Line(
        "dropped script at the end of a chain of four",
        f"printf '#!/bin/sh\\n{LIVES}\\nexit 0\\n' > /tmp/c1; printf '#!/tmp/c1\\n' > /tmp/c2;"
        "printf '#!/tmp/c2\\n' > /tmp/c3; printf '#!/tmp/c3\\n' > /tmp/c4; chmod +x /tmp/c?; /tmp/c4",
        (("script", "/tmp/c4"),),
    ),
    Line(
        "program interpreter (`PT_INTERP`) replaced",
        f"cp {LD} /tmp/ld; echo >> /tmp/ld; mv {LD} {LD}.away; cp /tmp/ld {LD};dynamic 0.05; mv {LD}.away {LD}",
        (("replaced", LD),),
    ),
    Line(
        "program interpreter behind a new symlink",
        f"cp {LD} /tmp/ld-new; echo >> /tmp/ld-new; mv {LD} {LD}.away; ln -s /tmp/ld-new {LD};"
        f"dynamic 0.05; mv {LD}.away {LD}",
        (("new_file", "/tmp/ld-new"),),
    ),
    Line(
        "`ld.so PROGRAM`",
        f"cp /usr/bin/dynamic /tmp/m; {LD} --argv0 ls /tmp/m 1",
        (("loader", "/tmp/m"),),
    ),
    Line(
        "own tmpfs",
        f"mkdir /mnt; mount -t tmpfs x /mnt; cp /bin/busybox /mnt/busybox-t; /mnt/busybox-t {SEEN_LATE}",
        (("foreign_mount", "/mnt/busybox-t"),),
        privileged=True,
    ),
    Line(
        "own tmpfs over a volume",
        "mount -t tmpfs x /scratch; cp /bin/busybox /scratch/busybox-o;"
        f"/scratch/busybox-o {SEEN_LATE}; {taken_away('/scratch')}",
        (("foreign_mount", "/scratch/busybox-o"),),
        privileged=True,
    ),
    Line(
        "bind mount over an image file",
        "cp /tmp/busybox-sentinel /tmp/y; mount --bind /tmp/y /usr/bin/run; /usr/bin/run; "
        f"{taken_away('/usr/bin/run')}",
        (("foreign_mount", "/usr/bin/run"),),
        privileged=True,
    ),
    Line(
        "own overlay and chroot",
        "mkdir -p /scratch/u /scratch/w /scratch/r; cp /tmp/busybox-sentinel /scratch/u/busybox-evil;"
        "mount -t overlay o -o lowerdir=/,upperdir=/scratch/u,workdir=/scratch/w /scratch/r;"
        f"chroot /scratch/r /bin/busybox {SEEN_LATE}; chroot /scratch/r /busybox-evil {SEEN_LATE}; "
        f"{taken_away('/scratch/r')}",
        (("foreign_mount", "/scratch/r/bin/busybox"), ("foreign_mount", "/scratch/r/busybox-evil")),
        privileged=True,
    ),
    Line(
        "`unshare -m` first",
        f"cp /bin/busybox /tmp/busybox-ns; unshare -m /bin/sh -c '/tmp/busybox-ns {SEEN_LATE}; true'",
        (("copy_of_image_file", "/tmp/busybox-ns"),),
        privileged=True,
    ),
    Line(
        "file name that is not UTF-8",
        f'f=$(printf \'/tmp/busybox-\\377\\n\'x); cp /bin/busybox "$f"; "$f" {LIVES}',
        (("copy_of_image_file", "/tmp/busybox-\\xff\nx"),),
    ),
    Line(
        "file name that ends in ` (deleted)`",
        f"printf '#!/bin/sh\\n{LIVES}\\n' > '/opt/entry.sh (deleted)'; chmod +x '/opt/entry.sh (deleted)';"
        " '/opt/entry.sh (deleted)'",
        (("script", "/opt/entry.sh (deleted)"),),
    ),
    Line(
        "path 150 directories deep",
        f"mkdir -p {DEEP}; cp /bin/busybox {DEEP}/busybox; {DEEP}/busybox {LIVES}",
        (("copy_of_image_file", "/…" + "/d" * 95 + "/busybox"),),
        by_fanotify=(("copy_of_image_file", f"{DEEP}/busybox"),),
        why="shows the whole path",
    ),
)
MAPPED: Final = ("--uidmap=0:100000:65536",)
OF_PODMAN: Final = (
    Line(
        "mapped ids: new file",
        f"cp /bin/busybox /tmp/busybox-m; echo >> /tmp/busybox-m; /tmp/busybox-m {LIVES}",
        (("new_file", "/tmp/busybox-m"),),
        options=MAPPED,
    ),
    Line(
        "mapped ids: image file replaced in place",
        "cp /tmp/busybox-sentinel /usr/bin/victim; /usr/bin/victim",
        (("replaced", "/usr/bin/victim"),),
        options=MAPPED,
    ),
    Line(
        "file of an image that is mounted as a volume (off by default)",
        f"/model/bin/busybox {LIVES}",
        (("image_volume", "/model/bin/busybox"),),
        options=("--mount=type=image,source={image},destination=/model",),
    ),
)
RUN_TOOL: Final = "run -- /bin/busybox true"
QUIET_OF_PODMAN: Final = (
    Line(
        "mapped ids: touched image binary and script",
        f"touch /usr/bin/run /opt/entry.sh; {RUN_TOOL}; /opt/entry.sh",
        options=MAPPED,
    ),
)
OTHERS_CAUGHT: Final = (
    "image file of another container, through `/proc`",
    "script of another container",
    "file written over the image's in a VOLUME",
    "new file in a container without overlay",
)
OTHERS_QUIET: Final = ("the image's own file in a VOLUME", "the image's own files in a container without overlay")
"""Lines of tests with containers of their own: test_foreign_files, test_declared_volumes, test_without_overlay."""
QUIET: Final = (
    Line("image binaries", "ls / >/dev/null; cat /etc/hosts; id"),
    Line("image scripts", "/opt/entry.sh; cd /opt; ./entry.sh"),
    Line("symlink to an image binary", f"/usr/bin/tool {LIVES}; tool ls"),
    Line("new symlink to an image binary", f"ln -s /bin/busybox /tmp/busybox-l; /tmp/busybox-l {LIVES}"),
    Line("touched image binary", f"touch /usr/bin/run; {RUN_TOOL}"),
    Line("chmod'ed image binary", f"chmod 700 /usr/bin/run; {RUN_TOOL}"),
    Line("touched image script", "touch /opt/entry.sh; /opt/entry.sh"),
    Line("loader on an image binary", f"{LD} /usr/bin/dynamic 0.05"),
)
LINES: Final = (*CAUGHT, *QUIET)
"""Run in podman and in pods."""
