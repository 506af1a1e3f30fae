"""A result as plain text, for the command line."""

from __future__ import annotations

from collections.abc import Iterable

from drift.backtest.domain.result import Example, OutcomeJson, Result

SHOWN = 10


def result_table(result: Result, base: str) -> str:
    """Return the result as a table; `base` names the version that the document was compared with."""
    alerts, blocking = result["alerts"], result["blocking"]
    scope = f"{result['events']:,} events ({result['execs']:,} execs) of {result['workloads']:,} workloads"
    moved = f"{alerts['vanish']:,} disappear, {alerts['appear']:,} appear"
    blocked = f"blocking: {blocking['before']:,} → {blocking['after']:,}"
    parts = [
        f"{scope}; {result['changed_events']:,} decided differently than by {base}",
        f"Alerts: {alerts['before']:,} → {alerts['after']:,} ({moved}); {blocked}",
        *_rules(result),
        *_transitions(result),
    ]
    parts += _examples("Would disappear", result["vanish"])
    parts += _examples("Would appear", result["appear"])
    parts += _examples("Noisiest remaining", result["noisiest"])
    return "\n".join(_clean(line) for line in parts)


def _rules(result: Result) -> Iterable[str]:
    yield ""
    yield f"{'Rule':<48} {'events before':>14} {'after':>12}"
    for rule in result["rules"]:
        yield f"{rule['name'][:48]:<48} {rule['events_before']:>14,} {rule['events_after']:>12,}"


def _transitions(result: Result) -> Iterable[str]:
    if not result["transitions"]:
        return
    yield ""
    yield "Different decisions"
    for each in result["transitions"][:SHOWN]:
        alerts = f"{each['vanish']:,} alerts disappear, {each['appear']:,} appear"
        yield f"{each['events']:>12,}  {_outcome(each['before'])} → {_outcome(each['after'])} ({alerts})"


def _examples(heading: str, examples: list[Example]) -> Iterable[str]:
    if not examples:
        return
    yield ""
    yield heading
    for each in examples[:SHOWN]:
        where = "/".join(filter(None, (each["cluster"], each["namespace"], each["owner"], each["container"])))
        yield f"{each['execs_before']:>10,} → {each['execs_after']:,} execs  {each['path']}  in {where}"


def _outcome(outcome: OutcomeJson) -> str:
    return f"{outcome['name']}: {outcome['action']}"


def _clean(line: str) -> str:
    """Escape control characters: paths and names are chosen by others and must not control the terminal."""
    return "".join(letter if letter.isprintable() else f"\\u{ord(letter):04x}" for letter in line)
