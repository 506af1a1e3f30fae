"""The result of a backtest, as it is stored, returned by the API and shown."""

from __future__ import annotations

from typing import TypedDict


class OutcomeJson(TypedDict):
    """A policy's decision: the rule's id and name, and the action."""

    rule: str
    name: str
    action: str


class TransitionJson(TypedDict):
    """Events that one rule decides before, and another rule or action after."""

    before: OutcomeJson
    after: OutcomeJson
    events: int
    execs: int
    vanish: int
    appear: int


class RuleJson(TypedDict):
    """A rule, and the events and execs that it decides before and after."""

    rule: str
    name: str
    events_before: int
    events_after: int
    execs_before: int
    execs_after: int


class Example(TypedDict):
    """One alert, and its execs before and after; 0 where it would not be raised.

    Where decisions differ among its events, `before` and `after` are those of one of them. `alert` is its present id.
    """

    path: str
    sha256: str
    kind: str
    cluster: str
    namespace: str
    owner: str
    container: str
    image: str
    execs_before: int
    execs_after: int
    last_seen: str
    before: OutcomeJson
    after: OutcomeJson
    alert: int | None


class Result(TypedDict):
    """The result of a backtest. `alerts` and `blocking` count alerts (fingerprints), not events."""

    events: int
    execs: int
    workloads: int
    changed_events: int
    alerts: dict[str, int]
    blocking: dict[str, int]
    rules: list[RuleJson]
    transitions: list[TransitionJson]
    more_transitions: int
    vanish: list[Example]
    appear: list[Example]
    noisiest: list[Example]
