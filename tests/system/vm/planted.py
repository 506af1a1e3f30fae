"""Five workloads with real package managers and builders: one starter rule each removes their alerts.

scripts/vm-provenance.sh runs this, where functions can be traced. Exit status 1 where a rule removes less than
LEAST of its workload's alerts.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sensor import wire
from sensor.policy import Policy, compile_policy
from tests.system.vm.machine import Bench
from tests.system.vm.workloads import PRELUDE, WORKLOADS

if TYPE_CHECKING:
    from sensor.wire import Event

IMAGE: Final = Path("/image")
RULES: Final = Path("/app/rules.json")
"""The starter pack's, by key, as users get them, but enabled."""
LEAST: Final = 0.95
PATIENCE: Final = 1_500.0
"""Seconds for one workload, in emulation."""


def main(names: list[str]) -> int:
    """Run each workload, or those of these names, and print what its rule removes; returns the exit status."""
    rules: dict[str, Any] = json.loads(RULES.read_text())
    bench, failed = Bench(IMAGE), False
    bench.type(PRELUDE)
    for number, workload in enumerate(each for each in WORKLOADS if not names or each.name in names):
        end = f"/tmp/end-{number}"
        bench.type(f"cp /bin/true {end}; ({workload.script}\n) </dev/null >/tmp/out-{number} 2>&1; {end}")
        events = bench.drift_until(end, PATIENCE)
        for event in events:
            print("EVENT", workload.name, wire.encode_event(event).decode(), flush=True)
        policy = only_rule(rules[workload.rule])
        left = [each for each in events if decided(policy, each, workload.place) != "ignore"]
        alerts, remaining = paths(events), paths(left)
        removed = 1 - len(remaining) / len(alerts) if alerts else 0.0
        failed |= removed < LEAST
        print(
            f"PLANTED {workload.name}: {len(events)} execs of drift, {len(alerts)} alerts; "
            f"{workload.rule} leaves {len(left)} execs, {len(remaining)} alerts: {removed:.1%} removed",
            flush=True,
        )
        for event in {each.process.path: each for each in left}.values():
            print(f"  LEFT {event.process.path} {event.process.provenance}", flush=True)
        if removed < LEAST:
            bench.type(f"tail -n 20 /tmp/out-{number} >&2")
    print(f"RESULT {int(failed)} wrong")
    return int(failed)


def only_rule(rule: dict[str, Any]) -> Policy:
    """Return a policy that alerts on everything but what this rule ignores."""
    return compile_policy({"schema": 1, "rules": [{**rule, "id": "only"}], "default": {"action": "alert"}})


def decided(policy: Policy, event: Event, place: dict[str, str]) -> str:
    """Return the policy's action, for an event of a container at this place of the estate."""
    return policy.decide({**wire.flatten(event, "aws", "1", "ci"), **place}).action


def paths(events: list[Event]) -> set[str]:
    """Return the files, each of which is one alert in a workload."""
    return {each.process.path for each in events}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
