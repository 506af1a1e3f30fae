"""What a workload leaves open: deciding within it is deciding."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from sensor.policy import PROCESS_PROPERTIES, compile_policy
from tests.unit.sensor.policy.strategies import documents, events

Json = dict[str, Any]
FILE = [name for name in PROCESS_PROPERTIES if name != "parent_process"]


@settings(max_examples=150, deadline=None)
@given(documents(), events(), st.lists(events(), min_size=1, max_size=4))
def test_a_decision_within_the_outlook_is_the_decision(document: Json, workload: Json, others: list[Json]) -> None:
    policy = compile_policy(document)
    facts = {name: value for name, value in workload.items() if name not in ("pod_name", *PROCESS_PROPERTIES)}
    outlook = policy.outlook(facts)
    for other in [workload, *others]:
        event: Json = {name: other[name] for name in ("pod_name", *PROCESS_PROPERTIES) if name in other}
        assert policy.decide_within(outlook, event) == policy.decide(facts | event)


@settings(max_examples=150, deadline=None)
@given(documents(), events(), st.lists(events(), min_size=2, max_size=2))
def test_what_an_outlook_does_not_ask_for_makes_no_difference(document: Json, workload: Json, two: list[Json]) -> None:
    policy = compile_policy(document)
    outlook = policy.outlook(workload)
    asked = ["pod_name"] * outlook.pod_name + ["parent_process"] * outlook.parent + FILE * outlook.process
    one, other = ({name: event[name] for name in asked if name in event} for event in two)
    noise = {name: value for name, value in two[1].items() if name not in asked}
    assert policy.decide_within(outlook, one) == policy.decide_within(outlook, noise | one)
    if not asked:
        assert policy.decide_within(outlook, one) == policy.decide_within(outlook, other)
