"""Evaluation of events by one policy, compiled once (docs/policy-semantics.md#how-it-decides).

Every step narrows one set of candidate rules, a bit mask with the first rule lowest; the lowest bit left decides.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from sensor.policy.block_prediction import BlockingRules, BlockPrediction
from sensor.policy.bounded_cache import CACHE_ENTRIES, BoundedCache
from sensor.policy.decisions import Decision, FlatEvent, RuleDecisions, effective_action
from sensor.policy.document import normalise
from sensor.policy.document_terms import DEFAULT_RULE
from sensor.policy.flat_event import workload_key
from sensor.policy.lookup_tables import AllowListTable, CloudScopeTable, rule_mask
from sensor.policy.matchers import PolicyMatchers, narrow
from sensor.policy.properties import PROCESS_PROPERTIES, WORKLOAD_PROPERTIES
from sensor.policy.residual_policies import ResidualPolicies, ResidualPolicy
from sensor.policy.string_tables import RuleSet

TraceStep = dict[str, Any]


class Policy:
    """A compiled policy; threads may share it."""

    def __init__(self, document: Mapping[str, Any], *, cache_entries: int = CACHE_ENTRIES) -> None:
        rules = document["rules"]
        everything = (1 << len(rules)) - 1
        self._rules = [RuleDecisions(rule) for rule in rules]
        self._default = Decision(effective_action(document["default"]), DEFAULT_RULE, "default")
        self._enabled = rule_mask(rule["enabled"] for rule in rules)
        self._clouds = CloudScopeTable(rules)
        self._lists = AllowListTable(rules)
        self._matchers = PolicyMatchers(rules, everything, cache_entries)
        self._workload_matchers = self._matchers.select(WORKLOAD_PROPERTIES)
        self._residuals = ResidualPolicies(rules, self._matchers, cache_entries)
        self._workloads: BoundedCache[ResidualPolicy] = BoundedCache(cache_entries)
        self._blocking = BlockingRules(rules, self._lists, default_blocks=self._default.action == "block")

    def decide(self, event: FlatEvent) -> Decision:
        """Return the decision for an event."""
        return self._decide_among(self._residual(event).candidates(event), event)

    def explain(self, event: FlatEvent) -> tuple[Decision, list[TraceStep]]:
        """Return the decision and its trace: each rule that was tried, and what failed; the deciding one last.

        A step is `{"rule", "failed"}` (docs/policy-semantics.md#traces).
        """
        decision = self.decide(event)
        trace: list[TraceStep] = []
        for position, rule in enumerate(self._rules):
            if rule.id == decision.rule:
                break
            trace.append({"rule": rule.id, "failed": self._failed(position, event)})
        trace.append({"rule": decision.rule, "failed": None})
        return decision, trace

    def has_conditions(self, properties: Iterable[str]) -> bool:
        """Return whether a rule looks at one of these properties."""
        return bool(self._having(properties))

    def predict_block(
        self, workload: FlatEvent, kind: str, known: Mapping[str, Any] = MappingProxyType({})
    ) -> BlockPrediction:
        """Predict whether drift of this kind is blocked in a workload with a known pod name, whatever the process.

        `known` are properties of the process that are known all the same, None where it has no such property.
        """
        event: dict[str, Any] = {"pod_name": workload.get("pod_name"), "drift_kind": kind, **known}
        in_cloud = self._enabled & self._clouds.matching(workload.get("provider"), workload.get("account"))
        candidates = narrow(in_cloud, self._workload_matchers, workload)
        candidates = narrow(candidates, self._matchers.select(event), event)
        return self._blocking.predict(candidates, kind, self._having(frozenset(PROCESS_PROPERTIES) - event.keys()))

    def may_block(self, rule: str | None, kind: str) -> bool:
        """Return whether this rule, where it decided drift of this kind, may block it: routine kinds must be named."""
        return rule is not None and self._blocking.may_block(rule, kind)

    def predict_block_of_process(self, event: FlatEvent, unknown: frozenset[str]) -> BlockPrediction:
        """Predict whether a process is blocked of which all but some properties are known, whatever those are.

        Not name, path and content: an allow list looks at them.
        """
        in_cloud = self._enabled & self._clouds.matching(event.get("provider"), event.get("account"))
        known = self._matchers.select({"pod_name", *PROCESS_PROPERTIES} - unknown)
        candidates = narrow(narrow(in_cloud, self._workload_matchers, event), known, event)
        uncertain = self._having(unknown)
        outcomes, kind = set[bool](), event.get("drift_kind")
        while True:
            decision = self._decide_among(candidates, event)
            outcomes.add(decision.action == "block" and self.may_block(decision.rule, kind))
            rule = 0 if decision.rule == DEFAULT_RULE else 1 << self._blocking.position(decision.rule)
            if not rule & uncertain:
                break
            candidates &= ~rule  # it decides, or a rule behind it
        if len(outcomes) > 1:
            return "depends"
        return "always" if outcomes == {True} else "never"

    def _having(self, properties: Iterable[str]) -> RuleSet:
        """Return the rules with a condition on one of these properties."""
        having = 0
        for matcher in self._matchers.select(properties):
            having |= matcher.has
        return having

    def _decide_among(self, candidates: RuleSet, event: FlatEvent) -> Decision:
        """Return the decision, given the rules whose scopes all match; only the event's file still counts."""
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

    def _residual(self, event: FlatEvent) -> ResidualPolicy:
        """Return the residual policy of the event's workload."""
        key = workload_key(event)
        known = self._workloads.get(key)
        if known is None:
            in_cloud = self._enabled & self._clouds.matching(key[0], key[1])
            known = self._workloads.put(key, self._residuals.get(narrow(in_cloud, self._workload_matchers, event)))
        return known

    def _failed(self, position: int, event: FlatEvent) -> dict[str, str | None]:
        """Return the first part that kept the rule at `position` from deciding; there is one."""
        if not self._enabled >> position & 1:
            return {"scope": "disabled", "property": None}
        if not self._clouds.matching(event.get("provider"), event.get("account")) >> position & 1:
            return {"scope": "cloud_scope", "property": None}
        failing = self._matchers.failing(position, event)
        if failing is not None:
            return {"scope": failing[0], "property": failing[1]}
        return {"scope": "unlisted", "property": None}


def compile_policy(document: object, *, cache_entries: int = CACHE_ENTRIES) -> Policy:
    """Check, normalise and compile a document. Raises PolicyInvalid with every error.

    `cache_entries` bounds each cache, such as the one per property; 0 turns caching off.
    """
    return Policy(normalise(document), cache_entries=cache_entries)
