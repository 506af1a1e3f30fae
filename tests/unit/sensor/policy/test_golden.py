"""The golden corpus (tests/golden): engine, checks and the literal reading all give the results written by hand."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from sensor.policy import check, compile_policy
from sensor.policy.properties import BY_NAME, TABLE
from tests.unit.sensor.policy import naive

Json = dict[str, Any]
GOLDEN = Path(__file__).parents[3] / "golden"


def load(name: str) -> Any:
    return json.loads((GOLDEN / name).read_text(encoding="utf-8"))


CONDITIONS = load("conditions.json")["cases"]
ALLOW_LISTS = load("allow_lists.json")["cases"]
DOCUMENTS = load("documents.json")["cases"]
EVALUATIONS = [(group, case) for group in load("evaluations.json")["groups"] for case in group["cases"]]


def one_rule(**parts: Any) -> Json:
    rule = {
        "id": "only",
        "name": "Only",
        "action": "block",
        "scope_description": "corpus",
        "cloud_scope": [{"provider": "azure"}],
        "resource_scope": [],
        "allow_list": [],
    }
    return {"schema": 1, "rules": [rule | parts], "default": {"action": "ignore"}}


def evaluate(document: Json, event: Json) -> Json:
    """Return the decision with its trace, after checking that the literal reading gives the same."""
    policy = compile_policy(document)
    decision, trace = policy.explain(event)
    assert policy.decide(event) == decision
    result = {**asdict(decision), "trace": trace}
    assert naive.decide(document, event) == result
    return result


@pytest.mark.parametrize("case", CONDITIONS, ids=lambda case: f"{case['property']} {case['operator']} {case['value']}")
def test_value_matches_the_event_as_the_corpus_says(case: Json) -> None:
    scope = BY_NAME[case["property"]].scope
    condition = {"property": case["property"], "any_of": [{"operator": case["operator"], "value": case["value"]}]}
    event = {"provider": "azure", case["property"]: case["event"]}
    decision = evaluate(one_rule(**{scope: [condition]}), event)
    assert (decision["rule"] == "only") is case["holds"], case["why"]


@pytest.mark.parametrize("name", [each.name for each in TABLE if each.scope != "cloud_scope"])
def test_every_property_has_cases_that_match_and_miss_and_one_without_a_value(name: str) -> None:
    cases = [case for case in CONDITIONS if case["property"] == name]
    assert {case["holds"] for case in cases} == {True, False}
    assert any(case["event"] is None for case in cases)
    assert {case["operator"] for case in cases} == set(BY_NAME[name].operators)


@pytest.mark.parametrize("case", ALLOW_LISTS, ids=lambda case: case["why"])
def test_process_is_on_the_allow_list_as_the_corpus_says(case: Json) -> None:
    decision = evaluate(one_rule(allow_list=case["allow_list"]), {"provider": "azure", **case["process"]})
    expected = ("ignore", "allow_list") if case["listed"] else ("block", "not_on_allow_list")
    assert (decision["action"], decision["reason"]) == expected


@pytest.mark.parametrize(("group", "case"), EVALUATIONS, ids=lambda part: part.get("about") or part["why"])
def test_decision_and_trace_are_those_of_the_corpus(group: Json, case: Json) -> None:
    result = evaluate(group["document"], case["event"])
    assert result == {**case["decision"], "trace": case["trace"]}


@pytest.mark.parametrize("case", DOCUMENTS, ids=lambda case: case["why"])
def test_check_finds_the_errors_that_the_corpus_names(case: Json) -> None:
    errors = check(case["document"])
    found = sorted((error.rule, error.field) for error in errors)
    assert found == sorted((fault["rule"], fault["field"]) for fault in case["faults"])
    assert all(error.message for error in errors)
