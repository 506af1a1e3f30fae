"""`python -m bench.policy`: the cost of one decision, beside other engines on the same rules in the same run."""

from __future__ import annotations

import statistics
import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from bench.policy_mix import Mix, known_event, make_mix, with_provenance
from bench.policy_plain import naive_loop, unrolled_loop
from bench.policy_rivals import Decide, cel_programs, prepare, zen_table
from sensor.policy import compile_policy, shadowed

Json = dict[str, Any]
SIZES = (10, 100, 1_000)
BATCHES = 5
ONCE = {"compile": "compile, ms", "shadowed": "shadowed rules, ms"}
"""What is done once per version, not per event."""
PLAIN, BY_PROVENANCE = "driftwatch, known writers", "driftwatch, rules on them"
"""Events with writers and sessions: under the same rules, and with conditions on these in one rule of ten."""
Row = dict[str, float | None]


def main() -> None:
    """Measure and print; some ten seconds on one core."""
    mix = make_mix()
    rows = {size: measure(mix, size) for size in SIZES}
    print_costs(rows)
    print_goals(rows)
    print_depth(mix)


def measure(mix: Mix, size: int) -> Row:
    """Seconds per event of every engine (None where it is not installed) with the first `size` rules, and for ONCE.

    All engines are first held together on the same events.
    """
    document = mix.document(size)
    rules = document["rules"]
    policy, cold = compile_policy(document), compile_policy(document, cache_entries=0)
    naive, unrolled = naive_loop(rules), unrolled_loop(rules)
    zen, cel = zen_table(rules), cel_programs(rules)
    agree(mix, policy.decide, [naive, unrolled], [zen, cel])
    known = compile_policy(with_provenance(document))
    warm_up(mix, policy.decide)
    warm_up(mix, lambda event: known.decide(known_event(event)))
    return {
        "compile": min(timed(partial(compile_policy, document)) for _ in range(3)),
        "shadowed": min(timed(partial(shadowed, document)) for _ in range(3)),
        "driftwatch": per_event(mix, policy.decide, 2_000),
        "driftwatch, no caches": per_event(mix, cold.decide, 1_000),
        **provenance_in_turns(mix, policy.decide, known.decide),
        "naive loop": per_event(mix, naive, 300),
        "naive loop, unrolled": per_event(mix, unrolled, 300),
        "zen-engine": per_event(mix, zen, 100, prepare),
        "CEL": per_event(mix, cel, 20, prepare),
    }


def agree(mix: Mix, decide: Callable[[Json], Any], loops: Sequence[Decide], engines: Sequence[Decide | None]) -> None:
    """Raise AssertionError unless every engine (None: not installed) names the same rule for 60 events."""
    for event in mix.events(60):
        expected = decide(event).rule
        named = [loop(event) for loop in loops]
        named += [engine(prepare(event)) for engine in engines if engine is not None]
        assert set(named) == {expected}, (expected, named, event)


def warm_up(mix: Mix, decide: Callable[[Json], Any]) -> None:
    """Let the policy see the estate's workloads once; pod names and one path in ten stay new."""
    for event in mix.events(3_000):
        decide(event)


def per_event(
    mix: Mix, decide: Callable[[Any], Any] | None, count: int, ready: Callable[[Json], Json] | None = None
) -> float | None:
    """Median over batches of fresh events: seconds per event."""
    if decide is None:
        return None
    batches = [[ready(event) if ready else event for event in mix.events(count)] for _ in range(BATCHES)]
    return statistics.median(timed(partial(run_all, decide, batch)) / count for batch in batches)


def provenance_in_turns(mix: Mix, plain: Callable[[Any], Any], known: Callable[[Any], Any]) -> dict[str, float]:
    """Seconds per event without and with rules on writers and sessions, in turns, as they are compared."""
    decides = {PLAIN: plain, BY_PROVENANCE: known}
    seconds: dict[str, list[float]] = {name: [] for name in decides}
    for _ in range(3 * BATCHES):
        batch = [known_event(event) for event in mix.events(1_000)]
        for name, decide in decides.items():
            seconds[name].append(timed(partial(run_all, decide, batch)) / len(batch))
    return {name: statistics.median(each) for name, each in seconds.items()}


def run_all(decide: Callable[[Any], Any], batch: Sequence[Any]) -> None:
    """Decide every event of a batch."""
    for event in batch:
        decide(event)


def timed(work: Callable[[], Any]) -> float:
    """Seconds of this process's processor time, which neighbours on the machine disturb least."""
    start = time.process_time()
    work()
    return time.process_time() - start


def print_costs(rows: dict[int, Row]) -> None:
    """One line per engine, µs per event at each number of rules, and its ratio to ours at the most."""
    print("policy: time per event in µs (median of batches, fresh pod names), first rule that decides")
    print(f"{'':24}" + "".join(f"{size:>10,} rules" for size in rows) + "   ratio to ours at the most rules")
    most = rows[max(rows)]
    for name in most:
        if name not in ONCE:
            costs = "".join(cell(row[name], 1e6) for row in rows.values())
            print(f"{name:24}{costs}{ratio(most[name], most['driftwatch'])}")
    for name, label in ONCE.items():
        print(f"{label:24}" + "".join(cell(row[name], 1e3) for row in rows.values()))


def cell(seconds: float | None, scale: float) -> str:
    """A number in its column, or a dash."""
    return f"{'-':>16}" if seconds is None else f"{seconds * scale:>16,.2f}"


def ratio(part: float | None, whole: float | None) -> str:
    """How many times `whole` fits into `part`."""
    return f"{'-':>12}" if not part or not whole else f"{part / whole:>12,.1f} x"


def print_goals(rows: dict[int, Row]) -> None:
    """The goals, each with what was seen in this run."""
    few, many = rows[min(rows)], rows[max(rows)]
    ours = many["driftwatch"]
    goals = (
        ("zen-engine / ours, goal at least 100", many["zen-engine"], ours),
        ("naive loop / ours without caches, goal at least 10", many["naive loop"], many["driftwatch, no caches"]),
        ("ours at the most rules / at the fewest, goal at most 3", ours, few["driftwatch"]),
        ("rules on writers and sessions / without, goal at most 1.15", many[BY_PROVENANCE], many[PLAIN]),
        ("compile, seconds, goal at most 0.5", many["compile"], 1.0),
    )
    for label, part, whole in goals:
        print(f"{label:58}{ratio(part, whole)}")


def print_depth(mix: Mix) -> None:
    """What decides the events of the mix, so that it is seen to be no easy one."""
    for size in SIZES:
        decide = compile_policy(mix.document(size)).decide
        reasons = Counter(decide(event).reason for event in mix.events(2_000))
        shares = ", ".join(f"{reason} {count / 20:.1f} %" for reason, count in reasons.most_common())
        print(f"decided at {size:,} rules by: {shares}")


if __name__ == "__main__":
    main()
