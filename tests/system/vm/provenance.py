"""Who wrote a file, by every way that docs/detection.md#provenance answers, with the kernel program itself.

scripts/vm-provenance.sh runs this on a machine without a disk, whose kernel lets functions be traced. It needs no
runtime: the container is made by tests/system/tools/writers.c. Exit status 1 where an answer is wrong.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from sensor.capture.kernel_program import open_kernel
from sensor.capture.programs import ProgramOptions
from sensor.container.identify import Resolved
from sensor.judgement.decide import Verdict
from sensor.judgement.events import make_event
from sensor.record import Flag, decode
from sensor.wire import Container

if TYPE_CHECKING:
    from sensor.record import Record

TOOL: Final = Path("/app/writers")
BOX: Final = Path("/box")
LOWER: Final = BOX / "lower"
SETTLED: Final = 0.5
"""Seconds without a record after which a script has ended: the machine is slow."""
PATIENCE: Final = 20.0


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


class Bench:
    """The kernel program, and one container."""

    def __init__(self) -> None:
        self._kernel = open_kernel(None, ProgramOptions(1 << 20, libraries=False))
        _make_image()
        subprocess.run(["mount", "-t", "tmpfs", "upper", BOX / "layer"], check=True)
        for name in ("layer/upper", "layer/work"):
            (BOX / name).mkdir()
        layers = [LOWER, BOX / "layer/upper", BOX / "layer/work", BOX / "root"]
        self._shell = subprocess.Popen([TOOL, "box", *layers], stdin=subprocess.PIPE, bufsize=0)
        self._records: list[Record] = []
        self.seen(lambda _: True)
        children = Path(f"/proc/{self._shell.pid}/task/{self._shell.pid}/children").read_text().split()
        self.pid = int(children[0])

    def type(self, line: str) -> None:
        """Have the container's own shell run a line."""
        assert self._shell.stdin is not None
        self._shell.stdin.write(f"{line}\n".encode())

    def enter(self, line: str) -> None:
        """Run a line as somebody does who enters the container from outside."""
        subprocess.run(["nsenter", "-t", str(self.pid), "-m", "-p", "/bin/sh", "-c", line], check=False)

    def seen(self, is_it: object) -> Record | None:
        """Wait for a record, and until no more come; None where none is like that."""
        deadline, found, last = time.monotonic() + PATIENCE, None, time.monotonic()
        while time.monotonic() < deadline and not (found and time.monotonic() - last > SETTLED):
            for data in self._kernel.ring.records(64):
                record, last = decode(data), time.monotonic()
                if record.flags & Flag.UNKNOWN_NAMESPACE:
                    self._kernel.register(record.namespace_id, record.root_dev)
                found = record if callable(is_it) and is_it(record) else found
            self._kernel.ring.commit()
            self._kernel.ring.wait(0.05)
        return found

    def answer(self, target: str) -> tuple[str | None, str | None] | None:
        """Return session and writer's origin of the exec of a file; None where it was not seen."""
        record = self.seen(lambda each: each.path.endswith(target.encode()))
        if record is None:
            return None
        resolved = Resolved(Container(id="a1" * 32), complete=True, root_dev=record.root_dev, layers=None, pid=1)
        verdict = Verdict("new_file", record.path, None, "gone", record.size)
        found = make_event(record, resolved, verdict, boot="", booted_ns=0).process.provenance
        return (found.session, found.writer_origin) if found is not None else None


def _make_image() -> None:
    for name in ("bin", "tmp", "proc", "dev", "usr/bin", "lib64", "lib/x86_64-linux-gnu"):
        (LOWER / name).mkdir(parents=True)
    for name in ("layer", "root"):
        (BOX / name).mkdir()
    shutil.copy2("/bin/busybox", LOWER / "bin/busybox")
    for applet in ("sh", "cat", "mv", "ln", "cp", "chmod", "mkdir", "sleep"):
        (LOWER / "bin" / applet).symlink_to("busybox")
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
    bench, wrong = Bench(), 0

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
    time.sleep(1)
    late = next(each for each in Path("/proc").iterdir() if _command(each)[1:2] == [b"late"])
    status = (late / "status").read_text()
    bench.enter(f"payload attach {status.partition('NSpid:')[2].split(chr(10))[0].split()[-1]}")
    judge("traced by who entered", "/tmp/late", (None, "image"))
    print(f"RESULT {wrong} wrong of {len(CASES) + 4}")
    return int(wrong > 0)


def _command(process: Path) -> list[bytes]:
    try:
        return (process / "cmdline").read_bytes().split(b"\0")
    except OSError:
        return []


if __name__ == "__main__":
    sys.exit(main())
