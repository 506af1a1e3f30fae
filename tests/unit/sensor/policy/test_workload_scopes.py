"""Which rules' scopes match a workload, compared with a literal reading of each rule alone."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from sensor.policy.workload_scopes import WorkloadScopes
from tests.unit.sensor.policy import naive
from tests.unit.sensor.policy.strategies import documents, events

Json = dict[str, Any]


def workload_alone(rule: Json) -> Json:
    scope = [each for each in rule["resource_scope"] if each["property"] != "pod_name"]
    return {**rule, "enabled": True, "resource_scope": scope, "process_scope": [], "allow_list": []}


@settings(max_examples=80, deadline=None)
@given(documents(), st.lists(events(), min_size=1, max_size=4))
def test_a_rule_is_found_whatever_is_above_it_and_whether_it_is_enabled(document: Json, sample: list[Json]) -> None:
    scopes = WorkloadScopes(document["rules"])
    for event in sample:
        expected = [naive.why_not(workload_alone(rule), event) is None for rule in document["rules"]]
        found = scopes.matching(event)
        assert [bool(found >> position & 1) for position in range(len(expected))] == expected
