"""Evaluation of events by one policy, compiled once (DESIGN §2, "How it is evaluated").

Every step narrows one set of candidate rules, a bit mask with the first rule lowest; the lowest bit left decides.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from sensor.policy.document import normalise
from sensor.policy.index import Rules
from sensor.policy.slots import CACHE_ENTRIES, build_slots
from sensor.policy.vocabulary import DEFAULT_RULE, DIGEST_PREFIX, PROVIDERS

Action = Literal["alert", "block", "ignore"]
Reason = Literal["scope", "allow_list", "not_on_allow_list", "default"]
Step = dict[str, Any]


class Event(Protocol):
    """A flat event (DESIGN §2) that `check_event` finds nothing wrong with, e.g. a dict."""

    def get(self, key: str, /) -> Any: ...


@dataclass(frozen=True, slots=True)
class Decision:
    """What the policy says about an event: `rule` is the deciding rule's id, or "default"."""

    action: Action
    rule: str
    reason: Reason


class Policy:
    """A compiled policy. Threads may share it: its caches only ever hold what any thread would find anew."""

    def __init__(self, document: Mapping[str, Any], *, cache_entries: int = CACHE_ENTRIES) -> None:
        rules = document["rules"]
        everything = (1 << len(rules)) - 1
        self._rules = [_Rule(rule) for rule in rules]
        self._default = Decision(document["default"]["action"], DEFAULT_RULE, "default")
        self._enabled = _mask(rule["enabled"] for rule in rules)
        self._with_list = _mask(bool(rule["allow_list"]) for rule in rules)
        passing_on = _mask(bool(rule["allow_list"]) and rule["unlisted"] == "next_rule" for rule in rules)
        self._decisive = everything & ~passing_on
        self._clouds = _Clouds(rules)
        self._lists = _AllowLists(rules)
        self._slots, self._rule_slots = build_slots(rules, everything, cache_entries)

    def decide(self, event: Event) -> Decision:
        """The decision for an event."""
        candidates = self._enabled & self._clouds.within(event.get("provider"), event.get("account"))
        for slot in self._slots:
            if candidates & slot.has:
                candidates &= slot.passes(event.get(slot.name))
        first = candidates & -candidates
        listed = 0
        if first & self._with_list:
            listed = self._lists.listing(event)
            candidates &= self._decisive | listed
            first = candidates & -candidates
        if not first:
            return self._default
        rule = self._rules[first.bit_length() - 1]
        return rule.decision if not first & self._with_list else rule.listed if first & listed else rule.unlisted

    def explain(self, event: Event) -> tuple[Decision, list[Step]]:
        """The decision, and each rule tried, in order, with what failed; the deciding one last.

        A step is DESIGN's `{"rule", "failed"}`; `property` is null where no property of a scope is to blame.
        """
        decision = self.decide(event)
        cloud = self._clouds.within(event.get("provider"), event.get("account"))
        passing = [slot.passes(event.get(slot.name)) for slot in self._slots]
        trace: list[Step] = []
        for position, rule in enumerate(self._rules):
            if rule.id == decision.rule:
                break
            trace.append({"rule": rule.id, "failed": self._failed(position, cloud, passing)})
        trace.append({"rule": decision.rule, "failed": None})
        return decision, trace

    def _failed(self, position: int, cloud: Rules, passing: list[Rules]) -> dict[str, str | None]:
        """The first part that kept the rule at `position` from deciding; there is one."""
        rule = self._rules[position]
        if not self._enabled >> position & 1:
            return {"scope": "disabled", "property": None}
        if not cloud >> position & 1:
            return {"scope": "cloud_scope", "property": None}
        for (scope, name), slot in zip(rule.conditions, self._rule_slots[position], strict=True):
            if not passing[slot] >> position & 1:
                return {"scope": scope, "property": name}
        return {"scope": "unlisted", "property": None}


def compile_policy(document: object, *, cache_entries: int = CACHE_ENTRIES) -> Policy:
    """Check, normalise and compile a document. Raises PolicyInvalid with every fault.

    `cache_entries` bounds what is remembered per property; 0 looks up everything anew.
    """
    return Policy(normalise(document), cache_entries=cache_entries)


class _Rule:
    """A rule's three possible decisions, and its conditions' scopes and properties in the order they are tried."""

    __slots__ = ("conditions", "decision", "id", "listed", "unlisted")

    def __init__(self, rule: Mapping[str, Any]) -> None:
        self.id: str = rule["id"]
        action: Action = rule["action"]
        self.decision = Decision(action, self.id, "scope")
        self.listed = Decision("ignore", self.id, "allow_list")
        self.unlisted = Decision("alert" if action == "ignore" else action, self.id, "not_on_allow_list")
        scopes = ("resource_scope", "process_scope")
        self.conditions = [(scope, condition["property"]) for scope in scopes for condition in rule[scope]]


class _Clouds:
    """The rules whose cloud scope holds, by provider and account."""

    __slots__ = ("_accounts", "_whole")

    def __init__(self, rules: Iterable[Mapping[str, Any]]) -> None:
        self._whole: dict[str, Rules] = dict.fromkeys(PROVIDERS, 0)
        self._accounts: dict[tuple[str, str], Rules] = {}
        for position, rule in enumerate(rules):
            for entry in rule["cloud_scope"]:
                self._add(entry, 1 << position)

    def _add(self, entry: Mapping[str, Any], rule: Rules) -> None:
        provider = entry["provider"]
        if "accounts" not in entry:
            self._whole[provider] |= rule
        for account in entry.get("accounts", ()):
            self._accounts[provider, account] = self._accounts.get((provider, account), 0) | rule

    def within(self, provider: Any, account: Any) -> Rules:
        return self._whole.get(provider, 0) | self._accounts.get((provider, account), 0)


class _AllowLists:
    """The rules whose allow list names a process, by its content, its path or its file name."""

    __slots__ = ("_hashes", "_names", "_paths")

    def __init__(self, rules: Iterable[Mapping[str, Any]]) -> None:
        self._hashes: dict[str, Rules] = {}
        self._paths: dict[str, Rules] = {}
        self._names: dict[str, Rules] = {}
        for position, rule in enumerate(rules):
            for entry in rule["allow_list"]:
                table, key = self._place(entry)
                table[key] = table.get(key, 0) | 1 << position

    def _place(self, entry: str) -> tuple[dict[str, Rules], str]:
        if entry.startswith(DIGEST_PREFIX):
            return self._hashes, entry.removeprefix(DIGEST_PREFIX)
        return (self._paths if entry.startswith("/") else self._names), entry

    def listing(self, event: Event) -> Rules:
        """The rules with the event's process on their list; of a fileless one only the content counts."""
        by_content = self._hashes.get(event.get("process_sha256"), 0)
        if event.get("drift_kind") == "fileless":
            return by_content
        path = event.get("process_path")
        if path is None:
            return by_content | self._names.get(event.get("process_name"), 0)
        return by_content | self._paths.get(path, 0) | self._names.get(path.rpartition("/")[2], 0)


def _mask(flags: Iterable[bool]) -> Rules:
    mask = 0
    for position, flag in enumerate(flags):
        mask |= flag << position
    return mask
