"""Whether drift would be blocked, predicted from the workload alone, compared with many processes."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sensor.policy import KINDS, NAMED_TO_BLOCK, PROCESS_PROPERTIES, compile_policy
from tests.unit.sensor.policy import naive
from tests.unit.sensor.policy.strategies import SHA256S, documents, events, names, paths
from tests.unit.sensor.policy.test_document import document_of, minimal_rule

Json = dict[str, Any]

workloads = events().map(lambda event: {key: event[key] for key in event if key not in PROCESS_PROPERTIES})
PROCESSES: list[Json] = [
    {"process_path": path, "process_name": path.rpartition("/")[2], "process_sha256": digest, "parent_process": parent}
    for path, digest, parent in itertools.product(
        ["/a", "/b", "/ab/a", "/zz", "/memfd:a"], [*SHA256S, "c" * 64, None], ["a", "z", None]
    )
]


def is_blocked(document: Json, event: Json) -> bool:
    """As specified: the decision is block, and some kinds are blocked only by a rule that names them."""
    decision = naive.decide(document, event)
    if decision["action"] != "block" or event["drift_kind"] not in NAMED_TO_BLOCK:
        return bool(decision["action"] == "block")
    rules = [rule for rule in document["rules"] if rule["id"] == decision["rule"]]
    return any(condition["property"] == "drift_kind" for rule in rules for condition in rule["process_scope"])


@settings(max_examples=120, deadline=None)
@given(documents(), workloads, st.sampled_from(KINDS), st.lists(st.tuples(paths, names), max_size=4))
def test_always_and_never_are_true_for_every_process_tried(
    document: Json, workload: Json, kind: str, more: list[tuple[str, str]]
) -> None:
    policy = compile_policy(document)
    drawn = [{**PROCESSES[0], "process_path": path, "parent_process": parent} for path, parent in more]
    tried = [{**workload, **process, "drift_kind": kind} for process in [*PROCESSES, *drawn]]
    found = [is_blocked(document, event) for event in tried]
    prospect = policy.predict_block(workload, kind)
    if prospect == "always":
        assert all(found)
    if prospect == "never":
        assert not any(found)
    decisions = [policy.decide(event) for event in tried]
    assert [one.action == "block" and policy.may_block(one.rule, kind) for one in decisions] == found


@settings(max_examples=120, deadline=None)
@given(documents(), workloads, st.sampled_from(KINDS), st.sampled_from(PROCESSES))
def test_what_is_predicted_without_the_parent_is_true_whichever_it_is(
    document: Json, workload: Json, kind: str, process: Json
) -> None:
    policy = compile_policy(document)
    event = {**workload, **process, "drift_kind": kind}
    found = {is_blocked(document, {**event, "parent_process": parent}) for parent in ("a", "ab", "b", "z", None)}
    prediction = policy.predict_block_of_process({**event, "parent_process": None}, frozenset({"parent_process"}))
    assert prediction == "depends" or found == {prediction == "always"}
    certain = policy.predict_block_of_process(event, frozenset())
    assert (certain == "always") is is_blocked(document, event)


def block(number: int = 1, **fields: Any) -> Json:
    return minimal_rule(number, action="block", **fields)


def kinds(*values: str) -> list[Json]:
    return [{"property": "drift_kind", "any_of": [{"operator": "equals", "value": value} for value in values]}]


BY_PATH = [{"property": "process_path", "any_of": [{"operator": "starts_with", "value": "/tmp/"}]}]
HASH = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("rules", "kind", "expected"),
    [
        pytest.param([block()], "new_file", "always", id="a rule for everything"),
        pytest.param([block()], "script", "never", id="scripts must be named"),
        pytest.param([block(process_scope=kinds("script"))], "script", "always", id="and are"),
        pytest.param([block(process_scope=kinds("new_file"))], "fileless", "never", id="another kind"),
        pytest.param([block(allow_list=[HASH])], "new_file", "depends", id="a hash decides"),
        pytest.param([block(allow_list=["x"])], "fileless", "always", id="no name lets a memfd run"),
        pytest.param([block(allow_list=[HASH])], "fileless", "depends", id="but its hash"),
        pytest.param([block(process_scope=BY_PATH)], "new_file", "depends", id="a path decides"),
        pytest.param([block(process_scope=BY_PATH), block(2)], "new_file", "always", id="but not what happens"),
        pytest.param([minimal_rule(), block(2)], "new_file", "never", id="a rule above decides"),
        pytest.param([minimal_rule(enabled=False), block(2)], "new_file", "always", id="unless disabled"),
        pytest.param([minimal_rule(process_scope=BY_PATH), block(2)], "new_file", "depends", id="or of some paths"),
        pytest.param([], "new_file", "never", id="no rule"),
    ],
)
def test_the_prediction_for_each_kind(rules: list[Json], kind: str, expected: str) -> None:
    policy = compile_policy(document_of(*rules))
    assert policy.predict_block({"provider": "azure", "account": "1"}, kind) == expected


def test_a_workload_out_of_scope_is_never_blocked() -> None:
    scope = [{"property": "namespace", "any_of": [{"operator": "equals", "value": "shop"}]}]
    policy = compile_policy(document_of(block(resource_scope=scope)))
    assert policy.predict_block({"provider": "azure", "namespace": "shop"}, "new_file") == "always"
    assert policy.predict_block({"provider": "azure", "namespace": "other"}, "new_file") == "never"
