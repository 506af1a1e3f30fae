"""A result as lines of text, for the command line."""

from __future__ import annotations

from collections.abc import Iterable

from drift.backtest.queries.summary import Example, OutcomeJson, Result

SHOWN = 10


def text(result: Result, base: str) -> str:
    """The whole result; `base` is what the document was compared with."""
    alerts, blocking = result["alerts"], result["blocking"]
    seen = f"{result['events']:,} events ({result['execs']:,} execs) of {result['workloads']:,} workloads"
    moved = f"{alerts['vanish']:,} vanish, {alerts['appear']:,} appear"
    blocked = f"blocking: {blocking['before']:,} → {blocking['after']:,}"
    parts = [
        f"{seen}; {result['changed_events']:,} decided otherwise than by {base}",
        f"Alerts: {alerts['before']:,} → {alerts['after']:,} ({moved}); {blocked}",
        *_rules(result),
        *_transitions(result),
    ]
    parts += _examples("Would vanish", result["vanish"])
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
    yield "Decided otherwise"
    for each in result["transitions"][:SHOWN]:
        alerts = f"{each['vanish']:,} alerts vanish, {each['appear']:,} appear"
        yield f"{each['events']:>12,}  {_said(each['before'])} → {_said(each['after'])} ({alerts})"


def _examples(heading: str, examples: list[Example]) -> Iterable[str]:
    if not examples:
        return
    yield ""
    yield heading
    for each in examples[:SHOWN]:
        where = "/".join(filter(None, (each["cluster"], each["namespace"], each["owner"], each["container"])))
        yield f"{each['execs_before']:>10,} → {each['execs_after']:,} execs  {each['path']}  in {where}"


def _said(said: OutcomeJson) -> str:
    return f"{said['name']}: {said['action']}"


def _clean(line: str) -> str:
    """Paths and names are others' text, which must not drive the terminal."""
    return "".join(letter if letter.isprintable() else f"\\u{ord(letter):04x}" for letter in line)
