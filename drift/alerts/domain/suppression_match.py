"""The conditions of a suppression rule, and whether an event meets them.

A suppression rule's conditions have the form of a policy rule's scopes and mean the same
(docs/policy-semantics.md): so the policy evaluator decides. Only the command line, which no policy looks at, is
compared here, case-sensitively.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from drift.alerts.domain.command_signals import attack_signals, is_known_whole
from sensor import policy, wire
from sensor.policy.globs import Glob
from sensor.policy.properties import TABLE

COMMAND_LINE: Final = "command_line"
CONTENT: Final = "process_sha256"
LABELS: Final = {
    "process_path": "Process path",
    COMMAND_LINE: "Command line",
    CONTENT: "File hash (SHA-256)",
    "image_name": "Container image",
    "namespace": "Namespace",
    "pod_name": "Pod",
    "container_name": "Container",
    "cluster_name": "Cluster",
}
"""Alerts' labels of properties, in the order of the panel."""
NOT_OFFERED: Final = frozenset({"provider", "account", "process_name", "pod_labels", "parent_process", "drift_kind"})
"""Properties that the panel does not offer: environments have a field of their own, and the rest rarely helps."""
PROPERTIES: Final = LABELS | {
    each.name: each.label for each in TABLE if each.name not in LABELS and each.name not in NOT_OFFERED
}
OPERATORS: Final = {
    "equals": "Equals",
    "starts_with": "Starts with",
    "ends_with": "Ends with",
    "contains": "Contains",
    "matches": "Matches",
}
RULE_ID: Final = "00000000-0000-4000-8000-000000000000"
Conditions = Sequence[Mapping[str, Any]]


def conditions_error(conditions: Conditions) -> str | None:
    """Return why the conditions cannot be applied, as a message for their author; None where they can."""
    if not conditions:
        return "Add at least one condition: a rule without any would dismiss every alert."
    if any(each["property"] not in PROPERTIES for each in conditions):
        return "A condition names an unknown property."
    for each in conditions:
        if each["property"] == COMMAND_LINE and not all(map(_is_valid_command_line, each["any_of"])):
            return f"A command line must have 1 to {wire.MAX_ARGV_BYTES} characters."
    return next((error.message for error in policy.check(_policy_document(conditions))), None)


def _is_valid_command_line(value: Mapping[str, str]) -> bool:
    return value["operator"] in OPERATORS and 1 <= len(value["value"]) <= wire.MAX_ARGV_BYTES


def _policy_document(conditions: Conditions) -> dict[str, Any]:
    """Return a policy whose one rule ignores what the conditions match, the command line left out."""
    scopes: dict[str, list[Mapping[str, Any]]] = {"resource_scope": [], "process_scope": []}
    for each in conditions:
        if each["property"] != COMMAND_LINE:
            scope = "process_scope" if each["property"] in policy.PROCESS_PROPERTIES else "resource_scope"
            scopes[scope].append(each)
    rule = {
        "id": RULE_ID,
        "name": "Suppression",
        "action": "ignore",
        "scope_description": "suppression",
        "cloud_scope": [{"provider": provider} for provider in policy.PROVIDERS],
        "allow_list": [],
        **scopes,
    }
    return {"schema": 1, "rules": [rule], "default": {"action": "alert"}}


@dataclass(frozen=True)
class Suppression:
    """A suppression rule, compiled. Without `environments` it applies in all of them."""

    id: int
    name: str
    environments: frozenset[int]
    command_lines: tuple[tuple[str, str], ...]
    policy: policy.Policy
    covers_any_content: bool = True
    """False where it dismisses only what its author reviewed, by content."""
    covers_any_use: bool = True
    """False where it dismisses no command line that looks like an attack: a harmless tool is used for one."""

    def matches(self, environment_id: int, flat_event: Mapping[str, object], event: wire.Event | None) -> bool:
        """Return whether the rule dismisses the alert of this event. Without it the command line is empty."""
        if self.environments and environment_id not in self.environments:
            return False
        if self.command_lines:
            line = shlex.join(event.process.argv if event else ())
            if not any(_line_matches(line, operator, value) for operator, value in self.command_lines):
                return False
        elif event and not self.covers_any_use and (not is_known_whole(event) or attack_signals(event)):
            return False
        return self.policy.decide(flat_event).action == "ignore"


def names_content(conditions: Conditions) -> bool:
    """Return whether the conditions name the content of files: nothing that differs from it can resemble it."""
    return any(each["property"] == CONTENT for each in conditions)


def named_contents(conditions: Conditions) -> frozenset[str]:
    """Return the SHA-256 sums that the conditions name, in lower case."""
    values = [value for each in conditions if each["property"] == CONTENT for value in each["any_of"]]
    return frozenset(value["value"].lower() for value in values if value["operator"] == "equals")


def compile_suppression(
    pk: int, name: str, environments: frozenset[int], conditions: Conditions, *, covers_new_content: bool = True
) -> Suppression:
    """Compile a rule. Raises PolicyInvalid for conditions that have a `conditions_error`."""
    lines = [each for each in conditions if each["property"] == COMMAND_LINE]
    values = tuple((value["operator"], value["value"]) for each in lines for value in each["any_of"])
    compiled = _compiled(policy.canonical_json(_policy_document(conditions)))
    covers_any_content = covers_new_content or names_content(conditions)
    return Suppression(pk, name, environments, values, compiled, covers_any_content, covers_new_content)


@lru_cache(maxsize=1_024)
def _compiled(document: bytes) -> policy.Policy:
    # Cached by document, because every batch that opens an alert reads the rules again.
    return policy.compile_policy(json.loads(document))


def _line_matches(line: str, operator: str, value: str) -> bool:
    match operator:
        case "equals":
            return line == value
        case "starts_with":
            return line.startswith(value)
        case "ends_with":
            return line.endswith(value)
        case "matches":
            return Glob(value).holds(line)
        case _:
            return value in line
