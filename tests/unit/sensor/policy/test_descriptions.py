from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings

from sensor.policy import (
    cloud_scope_summary,
    default_document,
    describe_action,
    describe_rule,
)
from tests.unit.sensor.policy.strategies import documents
from tests.unit.sensor.policy.test_document import minimal_rule


def entries(provider: str, count: int) -> dict[str, Any]:
    return {"provider": provider, "accounts": [f"{provider}-{n}" for n in range(count)]}


@pytest.mark.parametrize(
    ("scope", "words"),
    [
        ([entries("azure", 3)], "3 Azure subscriptions"),
        ([entries("azure", 1)], "1 Azure subscription"),
        ([{"provider": "azure"}, {"provider": "aws"}], "Azure, AWS"),
        ([entries("aws", 1), entries("gcp", 1)], "1 AWS account, 1 GCP project"),
        ([entries("gcp", 50), entries("azure", 135)], "135 Azure subscriptions, 50 GCP projects"),
        ([{"provider": "gcp"}, {"provider": "aws"}, {"provider": "azure"}], "Azure, AWS, GCP"),
        ([{"provider": "azure"}, entries("azure", 2), entries("aws", 2)], "Azure, 2 AWS accounts"),
        ([entries("aws", 2), entries("aws", 3)], "3 AWS accounts"),
    ],
)
def test_cloud_scope_is_summarised_as_in_the_policy_list(scope: list[dict[str, Any]], words: str) -> None:
    assert cloud_scope_summary(scope) == words


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"action": "alert"}, "Drift detection alert"),
        ({"action": "block"}, "Drift detection blocking"),
        ({"action": "ignore"}, "Ignore drift detection"),
        ({"action": "ignore", "allow_list": ["a"]}, "Ignore 1 process, alert on others"),
        ({"action": "alert", "allow_list": ["a", "b"]}, "Ignore 2 processes, alert on others"),
        ({"action": "block", "allow_list": ["a", "a"]}, "Ignore 1 process, block others"),
        ({"action": "alert", "allow_list": ["a"], "unlisted": "next_rule"}, "Ignore 1 process, next rule for others"),
        ({"action": "alert", "unlisted": "next_rule"}, "Drift detection alert"),
    ],
)
def test_action_column_describes_the_outcome(parts: dict[str, Any], words: str) -> None:
    assert describe_action(minimal_rule(**parts)) == words


def test_action_of_the_default_rule() -> None:
    assert describe_action(default_document()["default"]) == "Ignore drift detection"


def test_description_of_the_default_policy_s_rule() -> None:
    assert describe_rule(default_document()["rules"][0]) == (
        "Applies to drift in containers of Azure, AWS and GCP where the namespace equals “kube-system”. "
        "Such drift raises an alert."
    )


def test_description_of_the_rule_of_picture_five() -> None:
    values = [{"operator": "starts_with", "value": value} for value in ("Test123", "env123")]
    rule = minimal_rule(
        action="ignore", resource_scope=[{"property": "image_name", "any_of": values}], allow_list=["dev1.exe"]
    )
    assert describe_rule(rule) == (
        "Applies to drift in containers of Azure where the image name starts with “Test123” (from any registry) "
        "or starts with “env123” (from any registry). "
        "Ignored where the process is any file named dev1.exe. Every other process raises an alert. "
        "Fileless processes are compared by their SHA-256 only."
    )


def test_every_part_of_a_rule_is_described() -> None:
    rule = minimal_rule(
        action="block",
        resource_scope=[{"property": "pod_labels", "any_of": [{"operator": "equals", "value": "a=b"}]}],
        process_scope=[{"property": "drift_kind", "any_of": [{"operator": "equals", "value": "script"}]}],
        allow_list=["sha256:" + "ab" * 32],
        enabled=False,
        unlisted="next_rule",
        expires_at="2026-12-31T00:00:00Z",
    )
    assert describe_rule(rule) == (
        "This rule is disabled and does nothing; enabled, it would do this: "
        "Applies to drift in containers of Azure where any pod label equals “a=b” and the drift kind equals “script”. "
        "Ignored where the process is the content sha256:abababababab…. Every other process goes on to the next rule. "
        "It is disabled after 2026-12-31T00:00:00Z."
    )


@pytest.mark.parametrize(
    ("operator", "value", "any_registry"),
    [
        ("equals", "nginx", True),
        ("starts_with", "team/app", True),
        ("equals", "ghcr.io/team/app", False),
        ("equals", "docker.io/library/nginx:1", False),
        ("starts_with", "localhost/app", False),
        ("equals", "registry:5000/app", False),
        ("contains", "nginx", False),
        ("ends_with", "nginx", False),
    ],
)
def test_an_image_value_without_registry_is_described_as_from_any_registry(
    operator: str, value: str, any_registry: bool
) -> None:
    condition = {"property": "image_name", "any_of": [{"operator": operator, "value": value}]}
    assert ("from any registry" in describe_rule(minimal_rule(resource_scope=[condition]))) is any_registry


def test_a_rule_without_conditions_is_described_as_for_all_containers() -> None:
    assert (
        describe_rule(minimal_rule())
        == "Applies to drift in containers of Azure: all of them. Such drift raises an alert."
    )


@settings(max_examples=30, deadline=None)
@given(documents(max_rules=2))
def test_every_valid_rule_has_a_description(document: dict[str, Any]) -> None:
    for rule in document["rules"]:
        assert describe_rule(rule).endswith(".")
        assert describe_action(rule)
