from __future__ import annotations

from dataclasses import asdict
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from sensor.policy import check, compile_policy
from tests.unit.policy import naive
from tests.unit.policy.strategies import documents, events

Json = dict[str, Any]


@settings(max_examples=150, deadline=None)
@given(documents(), st.lists(events(), min_size=1, max_size=6))
def test_engine_and_literal_reading_agree_on_decision_and_trace(document: Json, sample: list[Json]) -> None:
    assert check(document) == []
    policy = compile_policy(document)
    for event in sample:
        expected = naive.decide(document, event)
        decision, trace = policy.explain(event)
        assert {**asdict(decision), "trace": trace} == expected
        assert policy.decide(event) == decision


@settings(max_examples=40, deadline=None)
@given(documents(), events(), events())
def test_decisions_do_not_depend_on_what_was_decided_before(document: Json, first: Json, second: Json) -> None:
    policy = compile_policy(document)
    before = policy.decide(first)
    policy.decide(second)
    assert policy.decide(first) == before
    assert compile_policy(document).decide(second) == policy.decide(second)
