"""A default rule that blocks: what it stops, what it never stops, and what older sensors make of it."""

from __future__ import annotations

from typing import Any

import pytest

from sensor.policy import NAMED_TO_BLOCK, check, compile_policy, describe_action, digest, normalise
from sensor.policy.decisions import blocking_rules
from sensor.policy.document import decisive_document
from sensor.policy.drift_kinds import KINDS
from sensor.policy.features import DEFAULT_BLOCKS, used_features
from sensor.policy.policy_pair import PolicyPair
from tests.unit.sensor.policy.test_document import document_of, minimal_rule

Json = dict[str, Any]

HERE = {"provider": "azure", "account": "1", "process_path": "/tmp/x", "process_name": "x", "drift_kind": "new_file"}
BLOCK, DRY = {"action": "block"}, {"action": "block", "dry_run": True}
BY_PATH = [{"property": "process_path", "any_of": [{"operator": "starts_with", "value": "/tmp/"}]}]
BY_SESSION = [{"property": "session", "any_of": [{"operator": "equals", "value": "exec"}]}]
EXCLUDED = minimal_rule(action="ignore", process_scope=BY_PATH)
OTHER_CLOUD = [{"provider": "aws"}]


def by_default(*rules: Json, default: Json = BLOCK) -> Json:
    return normalise({**document_of(*rules), "default": default})


@pytest.mark.parametrize(
    ("rules", "action", "prediction"),
    [
        pytest.param([], "block", "always", id="no rule"),
        pytest.param([minimal_rule(cloud_scope=OTHER_CLOUD)], "block", "always", id="a rule for another cloud"),
        pytest.param([minimal_rule(enabled=False)], "block", "always", id="a disabled exclusion"),
        pytest.param([minimal_rule(action="ignore")], "ignore", "never", id="an exclusion of everything"),
        pytest.param([minimal_rule(action="alert")], "alert", "never", id="a rule that alerts"),
        pytest.param([EXCLUDED], "ignore", "depends", id="an exclusion by path"),
        pytest.param(
            [minimal_rule(allow_list=["y"], unlisted="next_rule")], "block", "depends", id="an exclusion of others"
        ),
        pytest.param(
            [minimal_rule(allow_list=["x"], unlisted="next_rule")], "ignore", "depends", id="an exclusion by name"
        ),
        pytest.param([minimal_rule(action="block", process_scope=BY_PATH)], "block", "always", id="blocked either way"),
    ],
)
def test_it_stops_what_no_rule_decides(rules: list[Json], action: str, prediction: str) -> None:
    policy = compile_policy(by_default(*rules))
    assert policy.decide(HERE).action == action
    assert policy.predict_block(HERE, "new_file") == prediction


def test_a_name_lets_no_memfd_past_it() -> None:
    policy = compile_policy(by_default(minimal_rule(allow_list=["x"], unlisted="next_rule")))
    assert policy.predict_block(HERE, "fileless") == "always"


@pytest.mark.parametrize("kind", KINDS)
def test_it_names_no_kind_so_routine_ones_are_never_blocked_by_it(kind: str) -> None:
    policy = compile_policy(by_default())
    expected = "never" if kind in NAMED_TO_BLOCK else "always"
    assert policy.predict_block(HERE, kind) == expected
    assert policy.predict_block_of_process({**HERE, "drift_kind": kind}, frozenset()) == expected
    assert policy.may_block("default", kind) is (expected == "always")


def test_while_an_exec_is_held_an_exclusion_by_what_is_unknown_makes_it_depend() -> None:
    policy = compile_policy(by_default(minimal_rule(process_scope=BY_SESSION)))
    assert policy.predict_block_of_process(HERE, frozenset({"session"})) == "depends"
    assert policy.predict_block_of_process(HERE, frozenset()) == "always"


def test_a_dry_run_of_it_decides_as_a_default_rule_that_alerts() -> None:
    policy = compile_policy(by_default(default=DRY))
    assert policy.decide(HERE).action == "alert"
    assert policy.predict_block(HERE, "new_file") == "never"
    assert decisive_document(by_default(default=DRY))["default"] == {"action": "alert"}
    assert decisive_document(by_default())["default"] == BLOCK


def test_both_policies_of_a_pair_have_their_own_default() -> None:
    pair = PolicyPair(by_default(), by_default(default=DRY))
    assert [each.action for each in pair.decide(0, 0)] == ["block", "alert"]


def test_only_sensors_that_know_it_get_it() -> None:
    assert used_features(by_default()) == {DEFAULT_BLOCKS}
    assert used_features(by_default(default=DRY)) == used_features(by_default(default={"action": "alert"})) == set()


def test_a_policy_without_it_has_the_digest_that_it_had() -> None:
    alert = {**document_of(), "default": {"action": "alert"}}
    assert digest({**alert, "default": {"action": "alert", "dry_run": False}}) == digest(alert)
    assert len({digest(by_default(default=each)) for each in (BLOCK, DRY, {"action": "alert"})}) == 3


@pytest.mark.parametrize("default", [{"action": "alert", "dry_run": True}, {"action": "block", "dry_run": 1}])
def test_it_has_a_dry_run_only_where_it_blocks(default: Json) -> None:
    assert [(error.rule, error.field) for error in check({**document_of(), "default": default})] == [
        ("default", "dry_run")
    ]


def test_what_blocks_is_the_enabled_rules_and_the_default_rule() -> None:
    rules = [minimal_rule(1, action="block"), minimal_rule(2, action="block", enabled=False), minimal_rule(3)]
    assert [rule["id"] for rule in blocking_rules(by_default(*rules))] == [rules[0]["id"], "default"]
    assert blocking_rules(by_default(minimal_rule(1, action="block", dry_run=True), default=DRY)) == []


def test_the_list_calls_it_as_it_does_rules() -> None:
    assert describe_action(BLOCK) == "Drift detection blocking"
    assert describe_action(DRY) == "Drift detection blocking (dry run)"
