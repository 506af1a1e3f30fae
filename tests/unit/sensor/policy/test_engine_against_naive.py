from __future__ import annotations

from dataclasses import asdict
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from bench.policy_mix import make_mix
from sensor.policy import check, compile_policy
from tests.unit.sensor.policy import naive
from tests.unit.sensor.policy.strategies import documents, events
from tests.unit.sensor.policy.test_document import document_of, minimal_rule

Json = dict[str, Any]


@settings(max_examples=80, deadline=None)
@given(documents(), st.lists(events(), min_size=1, max_size=5))
def test_engine_and_literal_reading_agree_on_decision_and_trace(document: Json, sample: list[Json]) -> None:
    assert check(document) == []
    policy = compile_policy(document)
    for event in sample:
        expected = naive.decide(document, event)
        decision, trace = policy.explain(event)
        assert {**asdict(decision), "trace": trace} == expected
        assert policy.decide(event) == decision


@settings(max_examples=40, deadline=None)
@given(documents(), st.lists(events(), min_size=4, max_size=10), st.sampled_from([0, 1, 2]))
def test_decisions_are_the_same_with_small_caches_and_none(
    document: Json, sample: list[Json], cache_entries: int
) -> None:
    cached, other = compile_policy(document), compile_policy(document, cache_entries=cache_entries)
    for event in sample + sample:
        assert other.explain(event) == cached.explain(event)
        assert other.decide(event) == cached.decide(event)


@settings(max_examples=40, deadline=None)
@given(documents(), events(), events())
def test_decisions_do_not_depend_on_what_was_decided_before(document: Json, first: Json, second: Json) -> None:
    policy = compile_policy(document)
    before = policy.decide(first)
    policy.decide(second)
    assert policy.decide(first) == before
    assert compile_policy(document).decide(second) == policy.decide(second)


def test_any_number_of_conditions_on_one_property_must_all_hold() -> None:
    conditions = [
        {
            "property": "pod_name",
            "any_of": [{"operator": "contains", "value": letter}, {"operator": "equals", "value": "-"}],
        }
        for letter in "abcdefgh"
    ]
    document = document_of(minimal_rule(resource_scope=conditions), minimal_rule(2))
    policy = compile_policy(document)
    for name, rule in (("hgfedcba", "r1"), ("-", "r1"), ("abcdefg", "r2"), ("bcdefgh", "r2")):
        assert policy.decide({"provider": "azure", "pod_name": name}).rule == rule


def test_the_benchmark_estate_is_decided_as_the_literal_reading_says() -> None:
    mix = make_mix()
    document = mix.document(1_000)
    policy, fresh = compile_policy(document), compile_policy(document, cache_entries=0)
    deciding = set()
    for event in mix.events(40):
        expected = naive.decide(document, event)
        decision, trace = policy.explain(event)
        assert {**asdict(decision), "trace": trace} == expected
        assert fresh.decide(event) == decision
        deciding.add(decision.rule)
    assert len(deciding) > 5


def test_many_rules_on_the_pod_name_fall_back_on_the_index() -> None:
    rules = [
        minimal_rule(
            n, resource_scope=[{"property": "pod_name", "any_of": [{"operator": "contains", "value": f"-{n}-"}]}]
        )
        for n in range(200)
    ]
    policy = compile_policy(document_of(*rules))
    for name, rule in (("x-150-y", "r150"), ("x-7-y-199-", "r7"), ("x", "default"), ("-0-", "r0")):
        assert policy.decide({"provider": "azure", "pod_name": name}).rule == rule
