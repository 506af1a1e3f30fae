"""What a suppression rule is about, and whether an event meets it.

A rule's conditions are those of a policy rule's scopes (DESIGN §2): every property holds, any value of
it does, resource properties without letter case, images in each of their forms. So the policy's own
evaluator decides; only the command line, which no policy looks at, is compared here, by exact letters.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from sensor import policy, wire
from sensor.policy.properties import TABLE

COMMAND_LINE: Final = "command_line"
LABELS: Final = {
    "process_path": "Process path",
    COMMAND_LINE: "Command line",
    "process_sha256": "File hash (SHA-256)",
    "image_name": "Container image",
    "namespace": "Namespace",
    "pod_name": "Pod",
    "container_name": "Container",
    "cluster_name": "Cluster",
}
"""What alerts call a property, in the order of the panel."""
NOT_OFFERED: Final = frozenset({"provider", "account", "process_name", "pod_labels", "parent_process", "drift_kind"})
"""What the panel leaves out: the environment has a field of its own, and the rest says little of an alert."""
PROPERTIES: Final = LABELS | {
    each.name: each.label for each in TABLE if each.name not in LABELS and each.name not in NOT_OFFERED
}
OPERATORS: Final = {"equals": "Equals", "starts_with": "Starts with", "ends_with": "Ends with", "contains": "Contains"}
RULE: Final = "00000000-0000-4000-8000-000000000000"
Conditions = Sequence[Mapping[str, Any]]


def faults(conditions: Conditions) -> list[str]:
    """What is wrong with the conditions, in words; nothing where they can be applied."""
    if not conditions:
        return ["Give at least one condition: a rule without any would dismiss every alert."]
    if any(each["property"] not in PROPERTIES for each in conditions):
        return ["A condition is about something that no alert has."]
    wrong = [_command_line_fault(each) for each in conditions if each["property"] == COMMAND_LINE]
    return [text for text in wrong if text] + [fault.message for fault in policy.check(_document(conditions))]


def _command_line_fault(condition: Mapping[str, Any]) -> str:
    for value in condition["any_of"]:
        if value["operator"] not in OPERATORS or not 1 <= len(value["value"]) <= wire.MAX_ARGV_BYTES:
            return f"A command line takes 1 to {wire.MAX_ARGV_BYTES} characters."
    return ""


def _document(conditions: Conditions) -> dict[str, Any]:
    """A policy whose one rule ignores what the conditions name, all but the command line."""
    scopes: dict[str, list[Mapping[str, Any]]] = {"resource_scope": [], "process_scope": []}
    for each in conditions:
        if each["property"] != COMMAND_LINE:
            of = "process_scope" if each["property"] in policy.PROCESS_PROPERTIES else "resource_scope"
            scopes[of].append(each)
    rule = {"id": RULE, "name": "Suppression", "action": "ignore", "scope_description": "suppression", "allow_list": []}
    clouds = [{"provider": provider} for provider in policy.PROVIDERS]
    return {"schema": 1, "rules": [{**rule, "cloud_scope": clouds, **scopes}], "default": {"action": "alert"}}


@dataclass(frozen=True)
class Suppression:
    """An active rule, ready to be asked. No `environments`: it holds in all of them."""

    id: int
    name: str
    environments: frozenset[int]
    command_lines: tuple[tuple[str, str], ...]
    policy: policy.Policy

    def matches(self, environment_id: int, facts: Mapping[str, object], argv: Sequence[str]) -> bool:
        """Whether an event of that environment, with these flat facts and arguments, is to be dismissed."""
        if self.environments and environment_id not in self.environments:
            return False
        if self.command_lines and not _any_holds(self.command_lines, shlex.join(argv)):
            return False
        return self.policy.decide(facts).action == "ignore"


def suppression(pk: int, name: str, environments: frozenset[int], conditions: Conditions) -> Suppression:
    """Compile a rule's conditions. Raises PolicyInvalid for some that `faults` would have found."""
    lines = [each for each in conditions if each["property"] == COMMAND_LINE]
    values = tuple((one["operator"], one["value"]) for each in lines for one in each["any_of"])
    compiled = _compiled(policy.canonical_json(_document(conditions)))
    return Suppression(pk, name, environments, values, compiled)


@lru_cache(maxsize=1_024)
def _compiled(document: bytes) -> policy.Policy:
    return policy.compile_policy(json.loads(document))


def _any_holds(values: Sequence[tuple[str, str]], text: str) -> bool:
    tests: dict[str, Callable[[str], bool]] = {
        "equals": text.__eq__,
        "starts_with": text.startswith,
        "ends_with": text.endswith,
        "contains": text.__contains__,
    }
    return any(tests[operator](value) for operator, value in values)
