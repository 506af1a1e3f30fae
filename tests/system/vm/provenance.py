"""Who wrote a file, by every way that docs/detection.md#provenance answers, with the kernel program itself.

scripts/vm-provenance.sh runs this on a machine with an empty disk, whose kernel lets functions be traced. Exit status 1
where an answer is wrong.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Final, NamedTuple

from tests.system.vm.machine import BOX, TOOL, Bench

LOWER: Final = BOX / "lower"


class Case(NamedTuple):
    """What writes `{t}`, with the origin that its writer must have, and what then runs it with the last argument."""

    name: str
    script: str
    origin: str | None
    run: str = "{t} run"
    session: str | None = "workload"
    enters: bool = False


CASES: Final = (
    Case("a program of the image", "pkg copy /bin/payload {t}", "image"),
    Case("a dynamic program of the image", "dyn copy /bin/payload {t}", "image"),
    Case("a shell's redirection", "cat /bin/payload > {t}; chmod +x {t}", None),
    Case("a copied package manager", "pkg copy /bin/pkg /tmp/pkg; /tmp/pkg copy /bin/payload {t}", "drift"),
    Case("a renamed one", "cp /bin/pkg /tmp/k; mv /tmp/k /tmp/dpkg; /tmp/dpkg copy /bin/payload {t}", "drift"),
    Case("a script of the image", "script {t}", "image"),
    Case("a script of the image by env", "env-script {t}", "image"),
    Case("a script of the image as an argument", "sh /bin/script {t}", None),
    Case("a script that is drift", "cat /bin/script > /tmp/s; chmod +x /tmp/s; /tmp/s {t}", "drift"),
    Case("overwritten by a shell", "pkg copy /bin/payload {t}; cat /bin/payload > {t}", None),
    Case("appended to by drift", "pkg copy /bin/payload {t}; /tmp/pkg append /bin/payload {t}", "drift"),
    Case("cut by drift", "pkg copy /bin/payload {t}; /tmp/pkg truncate /bin/payload {t}", "drift"),
    Case("sendfile", "pkg sendfile /bin/payload {t}", "image"),
    Case("a mapping", "pkg mmap /bin/payload {t}", "image"),
    Case("a mapping by drift", "/tmp/pkg mmap /bin/payload {t}", "drift"),
    Case("preloaded drift", "cp /bin/preload.so /tmp/p.so; LD_PRELOAD=/tmp/p.so dyn copy /bin/payload {t}", "drift"),
    Case("traced from its start", "payload traced /bin/pkg copy /bin/payload {t}", None),
    Case("traced later", "payload attached /bin/pkg slow-copy /bin/payload {t}", None),
    Case("traced with the file open", "payload attached /bin/pkg held-copy /bin/payload {t}", None),
    Case("traced with the file mapped", "payload attached /bin/pkg held-mmap /bin/payload {t}", None),
    Case("foreign code with the file open", "dyn held-code /bin/payload {t}", "drift"),
    Case("a mapping, after others were traced", "pkg mmap /bin/payload {t}", "image"),
    Case("a descriptor of the image's given to drift", "pkg given {t} /tmp/pkg output /bin/payload -", "drift"),
    Case("a descriptor of drift's given to the image's", "/tmp/pkg given {t} /bin/pkg output /bin/payload -", "drift"),
    Case("renamed", "pkg copy /bin/payload /tmp/r1; mv /tmp/r1 {t}", "image"),
    Case("linked", "pkg copy /bin/payload /tmp/r2; ln /tmp/r2 {t}", "image"),
    Case("by the dynamic loader", "/lib64/ld-linux-x86-64.so.2 /bin/dyn copy /bin/payload {t}", None),
    Case("by who entered", "pkg copy /bin/payload {t}; {t} run", "image", session="exec", enters=True),
    Case("run by an orphan", "pkg copy /bin/payload {t}", "image", run="(sh -c '({t} run) &' &)"),
    Case(
        "below a root of its own",
        "mkdir -p /tmp/low/bin; cp /bin/pkg /tmp/low/bin/pkg; cp /bin/payload /tmp/low/bin/payload",
        None,
        run="payload own-root /tmp/low {t}",
    ),
)


OVERWRITES: Final = (
    *("pwrite", "pwritev2", "direct", "mmap", "sendfile", "splice", "copy_file_range", "ring", "ring-files"),
    *("ring-buffers", "ring-poll", "cut", "punch", "zero", "insert", "collapse", "exchange", "rename"),
)
"""Ways of tools/overwrite.c in which drift changes what the image's program wrote."""
OVERWRITTEN: Final = "pkg copy /bin/payload {t}; cp /bin/overwrite /tmp/ow; /tmp/ow {way} {t}"

LINEAGES: Final = (
    ("the image's programs", "pkg below /bin/payload below /bin/pkg copy /bin/payload {t}", "payload/pkg"),
    ("drift", "/tmp/pkg below /bin/pkg copy /bin/payload {t}", None),
    ("the image's below drift", "/tmp/pkg below /bin/payload below /bin/pkg copy /bin/payload {t}", "payload"),
    ("an interpreter with a command", "sh -c 'pkg copy /bin/payload {t}; :'", "busybox"),
    ("preloaded drift", "LD_PRELOAD=/tmp/p.so dyn below /bin/pkg copy /bin/payload {t}", None),
    ("traced", "payload traced /bin/pkg below /bin/payload copy /bin/payload {t}", None),
    ("the image's in the place of drift", "/tmp/pkg replaced /bin/payload /bin/pkg slow-copy /bin/payload {t}", None),
    ("the image's in its own place", "pkg replaced /bin/payload /bin/pkg slow-copy /bin/payload {t}", None),
)
"""What is above an image's program that writes `{t}`: the names that a policy may go by."""


def _make_image() -> None:
    for name in ("bin", "tmp", "proc", "dev", "usr/bin", "lib64", "lib/x86_64-linux-gnu"):
        (LOWER / name).mkdir(parents=True)
    shutil.copy2("/bin/busybox", LOWER / "bin/busybox")
    for applet in ("sh", "cat", "mv", "ln", "cp", "chmod", "mkdir", "sleep"):
        (LOWER / "bin" / applet).symlink_to("busybox")
    shutil.copy2("/app/overwrite", LOWER / "bin/overwrite")
    for name in ("bin/pkg", "bin/payload", "usr/bin/env"):
        shutil.copy2(TOOL, LOWER / name)
    shutil.copy2("/app/writers-dynamic", LOWER / "bin/dyn")
    shutil.copy2("/app/preload.so", LOWER / "bin/preload.so")
    for library in ("lib64/ld-linux-x86-64.so.2", "lib/x86_64-linux-gnu/libc.so.6"):
        shutil.copy2(Path("/") / library, LOWER / library)
    (LOWER / "dev/null").touch()
    _script("script", "#!/bin/sh\n/bin/pkg output /bin/payload - > $1; chmod +x $1\n")
    _script("env-script", "#!/usr/bin/env sh\n/bin/pkg output /bin/payload - > $1; chmod +x $1\n")


def _script(name: str, text: str) -> None:
    path = LOWER / "bin" / name
    path.write_text(text)
    path.chmod(0o755)


def main() -> int:
    """Try every case and print each answer; returns the exit status."""
    _make_image()
    bench, wrong = Bench(LOWER), 0

    def judge(name: str, target: str, expected: tuple[str | None, str | None]) -> None:
        nonlocal wrong
        found = bench.answer(target)
        wrong += found != expected
        print(f"{'ok' if found == expected else 'WRONG'} {name}: {found}", flush=True)

    for number, case in enumerate(CASES):
        target = f"/tmp/target-{number}"
        script, run = case.script.format(t=target), case.run.format(t=target)
        if case.enters:
            bench.enter(script)
        else:
            bench.type(f"{script}; {run}")
        judge(case.name, target, (case.session, case.origin))
    for way in OVERWRITES:
        target = f"/tmp/over-{way}"
        # What is registered with io_uring is open for a moment after its process has ended, and does not run.
        bench.type(f"{OVERWRITTEN.format(t=target, way=way)}; until {target} run; do sleep 0.1; done")
        judge(f"overwritten by drift: {way}", target, ("workload", "drift"))
    for number, (name, script, above) in enumerate(LINEAGES):
        target = f"/tmp/below-{number}"
        bench.type(f"{script.format(t=target)}; {target} run")
        found = bench.provenance(target)
        is_right = found is not None and (found.writer_origin, found.written_by_parent) == ("image", above)
        wrong += not is_right
        print(f"{'ok' if is_right else 'WRONG'} above it {name}: {found}", flush=True)
    inside = Path(f"/proc/{bench.pid}/root")
    shutil.copy2(TOOL, inside / "tmp/by-node")
    bench.type("/tmp/by-node run")
    judge("a file of the node's", "/tmp/by-node", ("workload", None))
    bench.type("pkg copy /bin/payload /tmp/over; sleep 1")
    time.sleep(3)
    shutil.copyfile(TOOL, inside / "tmp/over")
    bench.type("/tmp/over run")
    judge("overwritten by the node", "/tmp/over", ("workload", "runtime"))
    subprocess.run([TOOL, "joined", str(bench.pid), "/tmp/by-runtime"], check=True)
    bench.type("/tmp/by-runtime run")
    judge("a runtime that has joined, as podman cp", "/tmp/by-runtime", ("workload", "runtime"))
    bench.type("pkg copy /bin/payload /tmp/late; payload late /tmp/late &")
    while not (waiting := [each for each in Path("/proc").iterdir() if _command(each)[1:2] == [b"late"]]):
        time.sleep(0.05)
    (late,) = waiting
    status = (late / "status").read_text()
    bench.enter(f"payload attach {status.partition('NSpid:')[2].split(chr(10))[0].split()[-1]}")
    judge("traced by who entered", "/tmp/late", (None, "image"))
    print(f"RESULT {wrong} wrong of {len(CASES) + len(OVERWRITES) + len(LINEAGES) + 4}")
    return int(wrong > 0)


def _command(process: Path) -> list[bytes]:
    try:
        return (process / "cmdline").read_bytes().split(b"\0")
    except OSError:
        return []


if __name__ == "__main__":
    sys.exit(main())
