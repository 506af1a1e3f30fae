"""How a container's first process came there where a hook of the runtime ran in it before.

scripts/vm-provenance.sh runs this, where joins of a mount namespace are seen. Exit status 1 where an answer is wrong.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Final

from tests.system.vm.machine import BOX, TOOL, Bench

HOOK: Final = """\
#!/bin/sh
until [ -e /tmp/go ]; do sleep 0.1; done
"""
EXPECTED: Final = {"first": "workload", "entered": "exec"}


def main() -> int:
    """Have the kernel program know the container by its hook, and print each answer; returns the exit status."""
    lower = BOX / "lower"
    for name in ("bin", "tmp", "proc", "dev"):
        (lower / name).mkdir(parents=True)
    (lower / "dev/null").touch()
    shutil.copy2("/bin/busybox", lower / "bin/busybox")
    for applet in ("sh", "cp", "sleep"):
        (lower / "bin" / applet).symlink_to("busybox")
    shutil.copy2(TOOL, lower / "bin/payload")
    (lower / "bin/hook").write_text(HOOK)
    (lower / "bin/hook").chmod(0o755)
    bench = Bench(lower, owns_cgroup=True)
    found: dict[str, str | None] = {}
    Path(f"/proc/{bench.pid}/root/tmp/go").touch()
    for who in ("first", "entered"):
        run = f"cp /bin/payload /tmp/{who}; /tmp/{who} run"
        if who == "first":
            bench.type(run)
        else:
            bench.enter(run)
        answer = bench.answer(f"/tmp/{who}")
        found[who] = answer[0] if answer else "not seen"
    wrong = [who for who, session in EXPECTED.items() if found[who] != session]
    print(f"{found}\nRESULT {len(wrong)} wrong of {len(found)}", flush=True)
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
