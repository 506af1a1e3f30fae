"""Evaluation of one event by one policy (DESIGN §2, "How it is evaluated")."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from sensor.policy.document import normalise
from sensor.policy.events import check_event, file_name, image_forms
from sensor.policy.vocabulary import DEFAULT_RULE, DIGEST_PREFIX

Action = Literal["alert", "block", "ignore"]
Reason = Literal["scope", "allow_list", "not_on_allow_list", "default"]
Step = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Decision:
    """What the policy says about an event: `rule` is the deciding rule's id, or "default"."""

    action: Action
    rule: str
    reason: Reason


class Policy:
    """A compiled policy; safe to share between threads."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._rules = [_Rule(rule) for rule in document["rules"]]
        self._default = Decision(document["default"]["action"], DEFAULT_RULE, "default")

    def decide(self, event: Mapping[str, object]) -> Decision:
        """The decision for a flat event (DESIGN §2). Raises EventInvalid for a property of the wrong type."""
        return self.explain(event)[0]

    def explain(self, event: Mapping[str, object]) -> tuple[Decision, list[Step]]:
        """The decision and each rule tried, in order, with what failed; the deciding one last. Raises EventInvalid."""
        check_event(event)
        trace: list[Step] = []
        for rule in self._rules:
            failed = rule.failed(event)
            trace.append({"rule": rule.id, "failed": failed})
            if failed is None:
                return rule.decision(event), trace
        trace.append({"rule": DEFAULT_RULE, "failed": None})
        return self._default, trace


def compile_policy(document: object) -> Policy:
    """Check, normalise and compile a document. Raises PolicyInvalid with every fault."""
    return Policy(normalise(document))


class _Rule:
    def __init__(self, rule: Mapping[str, Any]) -> None:
        self.id: str = rule["id"]
        self._rule = rule

    def failed(self, event: Mapping[str, object]) -> Step | None:
        """The first part of the rule that keeps it from deciding, None if it decides."""
        rule = self._rule
        if not rule["enabled"]:
            return {"scope": "disabled", "property": None}
        if not any(_in_cloud(entry, event) for entry in rule["cloud_scope"]):
            return {"scope": "cloud_scope", "property": None}
        for scope in ("resource_scope", "process_scope"):
            for condition in rule[scope]:
                if not _holds(condition, event, folded=scope == "resource_scope"):
                    return {"scope": scope, "property": condition["property"]}
        if rule["allow_list"] and rule["unlisted"] == "next_rule" and not self._lists(event):
            return {"scope": "unlisted", "property": None}
        return None

    def decision(self, event: Mapping[str, object]) -> Decision:
        action = self._rule["action"]
        if not self._rule["allow_list"]:
            return Decision(action, self.id, "scope")
        if self._lists(event):
            return Decision("ignore", self.id, "allow_list")
        return Decision("alert" if action == "ignore" else action, self.id, "not_on_allow_list")

    def _lists(self, event: Mapping[str, object]) -> bool:
        entries = set(self._rule["allow_list"])
        if f"{DIGEST_PREFIX}{event.get('process_sha256')}" in entries:
            return True
        if event.get("drift_kind") == "fileless":
            return False
        names = {entry for entry in entries if not entry.startswith(("/", DIGEST_PREFIX))}
        return event.get("process_path") in entries - names or file_name(event) in names


def _in_cloud(entry: Mapping[str, Any], event: Mapping[str, object]) -> bool:
    if entry["provider"] != event.get("provider"):
        return False
    return "accounts" not in entry or event.get("account") in entry["accounts"]


def _holds(condition: Mapping[str, Any], event: Mapping[str, object], *, folded: bool) -> bool:
    for entry in condition["any_of"]:
        value = entry["value"].casefold() if folded else entry["value"]
        for text in _texts(condition["property"], event, value, folded=folded):
            if _matches(entry["operator"], text, value):
                return True
    return False


def _texts(name: str, event: Mapping[str, object], value: str, *, folded: bool) -> list[str]:
    subject = event.get(name)
    if isinstance(subject, Mapping):
        return [f"{key}={label}".casefold() for key, label in subject.items()]
    if not isinstance(subject, str):
        return []
    if name != "image_name":
        return [subject.casefold() if folded else subject]
    forms, digest = image_forms(subject.casefold())
    return [*forms, *(f"{form}@{digest}" for form in forms if digest is not None and "@" in value)]


def _matches(operator: str, text: str, value: str) -> bool:
    if operator == "equals":
        return text == value
    if operator == "starts_with":
        return text.startswith(value)
    if operator == "ends_with":
        return text.endswith(value)
    return value in text
