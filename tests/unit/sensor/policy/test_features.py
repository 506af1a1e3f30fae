"""What a policy uses that older sensors do not know."""

from __future__ import annotations

from typing import Any

import pytest

from sensor.policy import normalise
from sensor.policy.features import FEATURES, LINEAGE, PATTERNS, PROVENANCE, used_features
from tests.unit.sensor.policy.test_document import document_of, minimal_rule

EQUALS_EXEC = {"operator": "equals", "value": "exec"}


def scope(operator: str) -> list[dict[str, Any]]:
    return [{"property": "namespace", "any_of": [{"operator": operator, "value": "kube-*"}]}]


@pytest.mark.parametrize(
    ("parts", "features"),
    [
        ({}, set()),
        ({"resource_scope": scope("equals")}, set()),
        ({"resource_scope": scope("matches")}, {PATTERNS}),
        ({"resource_scope": scope("matches"), "enabled": False}, {PATTERNS}),
        ({"allow_list": ["/opt/*", "glob:*.sh"]}, set()),
        ({"allow_list": ["glob:/opt/*"]}, {PATTERNS}),
        ({"process_scope": [{"property": "process_name", "any_of": [EQUALS_EXEC]}]}, set()),
        ({"process_scope": [{"property": "session", "any_of": [EQUALS_EXEC]}]}, {PROVENANCE}),
        ({"process_scope": [{"property": "written_by_name", "any_of": [EQUALS_EXEC]}], "enabled": False}, {PROVENANCE}),
        ({"process_scope": [{"property": "written_by_parent", "any_of": [EQUALS_EXEC]}]}, {PROVENANCE, LINEAGE}),
    ],
)
def test_what_older_sensors_reject_is_a_feature_in_disabled_rules_too(
    parts: dict[str, Any], features: set[str]
) -> None:
    assert used_features(normalise(document_of(minimal_rule(**parts)))) == features


def test_features_are_capabilities_as_the_wire_bounds_them() -> None:
    assert all(len(name) <= 32 for name in FEATURES)
