"""What a policy may use that sensors of an older version do not know.

Those reject the whole policy, but for `LINEAGE`: to them, rules that look at a writer's parents are disabled. A sensor
reports the features that it knows among its capabilities.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sensor.policy.decisions import effective_action
from sensor.policy.document_terms import GLOB_PREFIX
from sensor.policy.properties import LINEAGE_PROPERTY, POD_ROLE_SESSIONS, PROVENANCE_PROPERTIES

PATTERNS: Final = "policy-patterns"
PROVENANCE: Final = "policy-provenance"
LINEAGE: Final = "policy-writer-lineage"
POD_ROLES: Final = "policy-pod-roles"
DEFAULT_BLOCKS: Final = "policy-default-blocks"
FEATURES: Final = {
    PATTERNS: "patterns (the operator Matches, and glob:/ in allow lists)",
    PROVENANCE: "provenance (Session, and what begins with Writer)",
    LINEAGE: "the origin of a writer's parents (Writer parent)",
    POD_ROLES: "roles in a pod (Session equals probe, init or debug)",
    DEFAULT_BLOCKS: "a default rule that blocks",
}
"""By capability, the feature in words. At most 32 characters each, as the wire bounds them."""


def used_features(document: Mapping[str, Any]) -> frozenset[str]:
    """Return the features that a normalised document uses, in disabled rules too: a sensor checks those as well."""
    found = {
        PATTERNS: _has_patterns,
        PROVENANCE: _has_provenance,
        LINEAGE: looks_at_lineage,
        POD_ROLES: _has_pod_roles,
    }
    names = {name for name, is_used in found.items() if any(is_used(rule) for rule in document["rules"])}
    # A dry run reaches sensors as a rule that alerts, which all of them know.
    blocks = {DEFAULT_BLOCKS} if effective_action(document["default"]) == "block" else set[str]()
    return frozenset(names | blocks)


def _has_patterns(rule: Mapping[str, Any]) -> bool:
    if any(entry.startswith(f"{GLOB_PREFIX}/") for entry in rule["allow_list"]):
        return True
    conditions = [*rule["resource_scope"], *rule["process_scope"]]
    return any(value["operator"] == "matches" for each in conditions for value in each["any_of"])


def _has_provenance(rule: Mapping[str, Any]) -> bool:
    return any(each["property"] in PROVENANCE_PROPERTIES for each in rule["process_scope"])


def looks_at_lineage(rule: Mapping[str, Any]) -> bool:
    """Return whether a normalised rule needs to know which programs of the image are above a writer."""
    return any(each["property"] == LINEAGE_PROPERTY for each in rule["process_scope"])


def _has_pod_roles(rule: Mapping[str, Any]) -> bool:
    sessions = [each for each in rule["process_scope"] if each["property"] == "session"]
    return any(value["value"] in POD_ROLE_SESSIONS for each in sessions for value in each["any_of"])
