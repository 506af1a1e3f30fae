"""Evaluation of events by one policy, compiled once (DESIGN §2, "How it is evaluated").

Every step narrows one set of candidate rules, a bit mask with the first rule lowest; the lowest bit left decides.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sensor.policy.blocking import Blocks, Prospect
from sensor.policy.bounded_cache import CACHE_ENTRIES, Memo
from sensor.policy.decisions import Decision, Event, Rule
from sensor.policy.document import normalise
from sensor.policy.flat_event import workload_key
from sensor.policy.lookup_tables import AllowLists, Clouds, mask_of
from sensor.policy.matchers import Slots, narrow
from sensor.policy.properties import WORKLOAD_PROPERTIES
from sensor.policy.residual import Plan, Plans
from sensor.policy.vocabulary import DEFAULT_RULE

Step = dict[str, Any]


class Policy:
    """A compiled policy; threads may share it."""

    def __init__(self, document: Mapping[str, Any], *, cache_entries: int = CACHE_ENTRIES) -> None:
        rules = document["rules"]
        everything = (1 << len(rules)) - 1
        self._rules = [Rule(rule) for rule in rules]
        self._default = Decision(document["default"]["action"], DEFAULT_RULE, "default")
        self._enabled = mask_of(rule["enabled"] for rule in rules)
        self._clouds = Clouds(rules)
        self._lists = AllowLists(rules)
        self._slots = Slots(rules, everything, cache_entries)
        self._workload_slots = self._slots.of(WORKLOAD_PROPERTIES)
        self._plans = Plans(rules, self._slots, cache_entries)
        self._workloads: Memo[Plan] = Memo(cache_entries)
        self._kind_slots = self._slots.of(["pod_name", "drift_kind"])
        self._blocks = Blocks(rules, self._lists)

    def decide(self, event: Event) -> Decision:
        """The decision for an event."""
        return self.decide_among(self._workload(event).candidates(event), event)

    def prospect(self, workload: Event, kind: str) -> Prospect:
        """Whether drift of this kind is blocked in a workload, whichever process it is; its pod name is known."""
        event = {"pod_name": workload.get("pod_name"), "drift_kind": kind}
        in_cloud = self._enabled & self._clouds.within(workload.get("provider"), workload.get("account"))
        candidates = narrow(narrow(in_cloud, self._workload_slots, workload), self._kind_slots, event)
        return self._blocks.prospect(candidates, kind)

    def has_conditions(self, names: Iterable[str]) -> bool:
        """Whether an enabled rule has a condition on any of these properties."""
        return any(slot.has & self._enabled for slot in self._slots.of(names))

    def names_kind(self, rule: str | None, kind: str) -> bool:
        """Whether this rule, where it decides drift of this kind, may block it: some kinds only if it names them."""
        return rule is not None and self._blocks.names(rule, kind)

    def decide_among(self, candidates: int, event: Event) -> Decision:
        """The decision, where these are the rules whose scopes all hold; of the event only the file counts."""
        listed = 0
        if candidates & self._lists.having:
            listed = self._lists.listing(event)
            candidates &= self._lists.decisive | listed
        if not candidates:
            return self._default
        first = candidates & -candidates
        rule = self._rules[first.bit_length() - 1]
        if not first & self._lists.having:
            return rule.by_scope
        return rule.by_list if first & listed else rule.unlisted

    def explain(self, event: Event) -> tuple[Decision, list[Step]]:
        """The decision, and each rule tried, in order, with what failed; the deciding one last.

        A step is DESIGN's `{"rule", "failed"}`; `property` is null where no property of a scope is to blame.
        """
        decision = self.decide(event)
        trace: list[Step] = []
        for position, rule in enumerate(self._rules):
            if rule.id == decision.rule:
                break
            trace.append({"rule": rule.id, "failed": self._failed(position, event)})
        trace.append({"rule": decision.rule, "failed": None})
        return decision, trace

    def _workload(self, event: Event) -> Plan:
        """What is left to ask of an event of this workload: its pod name and process aside, all is known."""
        key = workload_key(event)
        known = self._workloads.get(key)
        if known is None:
            in_cloud = self._enabled & self._clouds.within(key[0], key[1])
            known = self._workloads.keep(key, self._plans.of(narrow(in_cloud, self._workload_slots, event)))
        return known

    def _failed(self, position: int, event: Event) -> dict[str, str | None]:
        """The first part that kept the rule at `position` from deciding; there is one."""
        if not self._enabled >> position & 1:
            return {"scope": "disabled", "property": None}
        if not self._clouds.within(event.get("provider"), event.get("account")) >> position & 1:
            return {"scope": "cloud_scope", "property": None}
        failing = self._slots.failing(position, event)
        if failing is not None:
            return {"scope": failing[0], "property": failing[1]}
        return {"scope": "unlisted", "property": None}


def compile_policy(document: object, *, cache_entries: int = CACHE_ENTRIES) -> Policy:
    """Check, normalise and compile a document. Raises PolicyInvalid with every fault.

    `cache_entries` bounds what is remembered per property; 0 looks up everything anew.
    """
    return Policy(normalise(document), cache_entries=cache_entries)
