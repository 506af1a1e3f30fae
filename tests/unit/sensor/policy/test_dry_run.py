"""A blocking rule that only records what it would block: to sensors of any version it is a rule that alerts."""

from __future__ import annotations

from typing import Any

import pytest

from sensor.policy import check, compile_policy, describe_action, describe_rule, digest, normalise
from sensor.policy.document import decisive_document
from tests.unit.sensor.policy.test_document import document_of, minimal_rule

AZURE = {"provider": "azure", "process_path": "/x/y", "process_name": "y", "drift_kind": "new_file"}


def blocking(**parts: Any) -> dict[str, Any]:
    return document_of(minimal_rule(action="block", **parts))


@pytest.mark.parametrize(
    ("action", "value", "fields"),
    [
        ("block", True, []),
        ("block", False, []),
        ("alert", False, []),
        ("alert", True, ["dry_run"]),
        ("ignore", True, ["dry_run"]),
        ("block", 1, ["dry_run"]),
        ("block", "yes", ["dry_run"]),
    ],
)
def test_a_dry_run_is_true_or_false_and_of_a_blocking_rule(action: str, value: object, fields: list[str]) -> None:
    errors = check(document_of(minimal_rule(action=action, dry_run=value)))
    assert [error.field for error in errors] == fields


def test_without_one_a_document_keeps_its_digest() -> None:
    assert digest(blocking(dry_run=False)) == digest(blocking())
    assert "dry_run" not in normalise(blocking(dry_run=False))["rules"][0]
    assert digest(blocking(dry_run=True)) != digest(blocking())


@pytest.mark.parametrize(("listed", "action"), [([], "alert"), (["y"], "ignore"), (["z"], "alert")])
def test_it_decides_as_a_rule_that_alerts(listed: list[str], action: str) -> None:
    policy = compile_policy(blocking(dry_run=True, allow_list=listed))
    assert policy.decide(AZURE).action == action
    assert policy.predict_block(AZURE, "new_file") == "never"


def test_sensors_get_it_as_a_rule_that_alerts() -> None:
    sent = decisive_document(normalise(blocking(dry_run=True)))
    assert (sent["rules"][0]["action"], "dry_run" in sent["rules"][0]) == ("alert", False)
    assert decisive_document(normalise(blocking()))["rules"][0]["action"] == "block"


def test_it_is_described_as_what_it_is() -> None:
    rule = normalise(blocking(dry_run=True))["rules"][0]
    assert describe_action(rule) == "Drift detection blocking (dry run)"
    assert "raises an alert, which records that it would be blocked" in describe_rule(rule)
