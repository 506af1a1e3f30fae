"""What an attacker drops is hidden by no starter rule that goes by who wrote a file, where writers may be the image's.

    python -m tests.system.vm.drops first|second|third

scripts/vm-provenance.sh runs this, where functions can be traced. `first` are those of `tests/system/drops.py`, the
others those of `tests/system/second_drops.py`. Exit status 1 where one is hidden, or was not seen.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sensor import wire
from sensor.policy import Policy, compile_policy
from tests.system.drops import SETUP, goes_by_provenance, lines
from tests.system.second_drops import Drop, read_drops
from tests.system.vm.machine import BOX, Bench
from tests.system.vm.planted import IMAGE, RULES
from tests.system.vm.workloads import CI_JOB, PRELUDE

if TYPE_CHECKING:
    from sensor.wire import Event

PATIENCE: Final = 900.0
DROPS_AT: Final = IMAGE / "drops"
BUSYBOX_APPLETS: Final = ("sh", "cp", "chmod", "mkdir", "true", "ln", "tar", "rm")


def main(which: str) -> int:
    """Try each drop as the workload and as somebody who entered; returns the exit status."""
    rules = [{**rule, "id": name} for name, rule in json.loads(RULES.read_text()).items() if goes_by_provenance(rule)]
    policy = compile_policy({"schema": 1, "rules": rules, "default": {"action": "alert"}})
    hidden = _first(policy) if which == "first" else _listed(policy, which)
    print(f"RESULT {hidden} wrong of {which} drops")
    return int(hidden > 0)


def _first(policy: Policy) -> int:
    lower = BOX / "lower"
    for name in ("bin", "tmp", "proc", "dev", "shared"):
        (lower / name).mkdir(parents=True)
    (lower / "dev/null").touch()
    shutil.copy2("/bin/busybox", lower / "bin/busybox")
    for applet in BUSYBOX_APPLETS:
        (lower / "bin" / applet).symlink_to("busybox")
    bench = Bench(lower)
    bench.type("mount -t devtmpfs dev /dev; ifconfig lo 127.0.0.1")
    bench.type(f"({SETUP}) >/dev/null 2>&1")
    hidden = 0
    for who, port in (("workload", 8_100), ("exec", 8_300)):
        script, words = lines(who, port)
        end = f"/tmp/end-{who}"
        bench.type(f"cp /bin/busybox {end}")
        (Path(f"/proc/{bench.pid}/root/tmp") / f"drops-{who}").write_text(script)
        run = f"sh /tmp/drops-{who} >/dev/null 2>&1; {end} true"
        if who == "workload":
            bench.type(run)
        else:
            bench.enter(run)
        found = {each.process.argv[-1]: each for each in bench.drift_until(end, PATIENCE) if each.process.argv}
        for word in words:
            hidden += _judge(policy, word, found.get(word))
    return hidden


def _listed(policy: Policy, which: str) -> int:
    bench, hidden = Bench(IMAGE), 0
    bench.type(PRELUDE)
    # As in a pod: a move from there copies, since it is another filesystem.
    bench.type("mkdir -p /dev/shm; mount -t tmpfs shm /dev/shm")
    for number, drop in enumerate(read_drops(DROPS_AT / which / "drops.jsonl")):
        # What a shell is given as its argument no exec shows: tests/system/test_second_drops.py has these.
        if drop.is_read:
            continue
        end = f"/tmp/end-{number}"
        bench.type(f"cp /bin/true {end}; chmod 755 {end}")
        run = f"{PRELUDE}; {drop.command(f'/drops/{which}/{number}.sh')} >/dev/null 2>&1 </dev/null; {end}"
        if drop.by == "workload":
            bench.type(f"({run})")
        else:
            bench.enter(run)
        hidden += _judge_all(policy, drop, bench.drift_until(end, PATIENCE))
    return hidden


def _judge_all(policy: Policy, drop: Drop, events: list[Event]) -> int:
    """Judge the execs of what the drop runs; what else it makes run may be what a rule is for."""
    ran = [each for each in events if drop.is_run(each.process.path)]
    return max([_judge(policy, drop.name, each, drop) for each in ran] or [_judge(policy, drop.name, None)])


def _judge(policy: Policy, name: str, event: Event | None, drop: Drop | None = None) -> int:
    if event is None:
        print(f"WRONG {name}: not seen", flush=True)
        return 1
    flat: dict[str, Any] = {**wire.flatten(event, "aws", "1", "ci"), **CI_JOB}
    decision = policy.decide(flat)
    is_said = drop is not None and decision.rule in drop.let_through
    is_hidden = decision.action == "ignore" and not is_said
    known = event.process.provenance
    told = known and (known.session, known.writer_origin, known.written_by_name, known.written_by_parent)
    is_right = drop is None or known is None or drop.may_be_written_by(known.written_by_name)
    verdict = "let through" if is_said else "ok"
    if is_hidden:
        verdict = f"HIDDEN by {decision.rule}"
    elif not is_right:
        verdict = f"WRONG, not {drop and drop.writer}:"
    print(f"{verdict} {name}: {event.process.path} {told}", flush=True)
    return int(is_hidden or not is_right)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
