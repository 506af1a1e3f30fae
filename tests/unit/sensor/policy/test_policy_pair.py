"""Two policies compiled as one: what a workload leaves open, and that both decisions equal those of each alone."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from sensor.policy import PROCESS_PROPERTIES, PolicyPair, ValueRange
from sensor.policy.properties import FILE_PROPERTIES, PROVENANCE_PROPERTIES
from tests.unit.sensor.policy import naive
from tests.unit.sensor.policy.strategies import documents, events

Json = dict[str, Any]
OPEN = ("pod_name", *PROCESS_PROPERTIES)


def decisions(pair: PolicyPair, workload: Json, event: Json, pods: ValueRange | None) -> list[Json]:
    """Decide as a backtest does: only with the properties that the residual still needs."""
    residual = pair.residual(pair.candidates(workload), pods)
    left, listed = residual.rules, 0
    if residual.file:
        left &= pair.passing(FILE_PROPERTIES, event)
        listed = pair.listing(event)
    if residual.parent:
        left &= pair.passing(["parent_process"], event)
    if residual.provenance:
        left &= pair.passing(PROVENANCE_PROPERTIES, event)
    if residual.open_pods:
        left &= pair.passing(["pod_name"], event) | ~residual.open_pods
    made = pair.decide(left, listed)
    return [{"action": each.action, "rule": each.rule, "reason": each.reason} for each in made]


def name_range(names: list[str]) -> ValueRange:
    longest = max(len(name.encode()) for name in names)
    return ValueRange.between(min(names), max(names), longest)


@settings(max_examples=120, deadline=None)
@given(documents(), documents(), events(), st.lists(events(), min_size=1, max_size=4), st.booleans(), st.text("ab"))
def test_both_decisions_equal_those_of_each_policy_alone(
    before: Json, after: Json, first: Json, others: list[Json], knows_pods: bool, start: str
) -> None:
    pair = PolicyPair(before, after)
    workload = {name: value for name, value in first.items() if name not in OPEN}
    seen = [workload | {name: each[name] for name in OPEN if name in each} for each in [first, *others]]
    for event in seen:
        # As stored: a pod without a name has an empty name, which is not a name.
        event["pod_name"] = start + (event.get("pod_name") or "") or None
    pods = name_range([event["pod_name"] or "" for event in seen]) if knows_pods else None
    for event in seen:
        expected = [naive.decide(each, event) for each in (before, after)]
        for each in expected:
            del each["trace"]
        assert decisions(pair, workload, event, pods) == expected


def test_a_workload_that_needs_no_pod_name_reads_none() -> None:
    rule = {
        "id": "r",
        "name": "R",
        "action": "alert",
        "scope_description": "some",
        "cloud_scope": [{"provider": "azure"}],
        "resource_scope": [{"property": "pod_name", "any_of": [{"operator": "starts_with", "value": "cart-"}]}],
        "allow_list": [],
        "enabled": True,
        "unlisted": "decide",
        "process_scope": [],
        "expires_at": None,
        "note": "",
    }
    document = {"schema": 1, "detect": ["new_file"], "rules": [rule], "default": {"action": "ignore"}}
    pair = PolicyPair(document, document)
    workload = {"provider": "azure", "account": "1"}
    assert pair.residual(pair.candidates(workload)).open_pods == 0b11
    assert pair.residual(pair.candidates(workload), name_range(["cart-1", "cart-2"])).open_pods == 0
    assert pair.residual(pair.candidates(workload), name_range(["shop-1", "shop-2"])).rules == 0
    assert pair.residual(pair.candidates(workload), name_range(["cart-1", "care"])).open_pods == 0b11
