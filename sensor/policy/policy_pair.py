"""Two policies compiled as one, to decide many events by both: each string is looked up once.

The rules of the first take the low bits of a rule set, those of the second the bits above them.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import Any, Final

from sensor.policy.decisions import Decision, FlatEvent, RuleDecisions, effective_action
from sensor.policy.document_terms import DEFAULT_RULE
from sensor.policy.lookup_tables import AllowListTable, CloudScopeTable, rule_mask
from sensor.policy.matchers import PolicyMatchers, folded_values, narrow, rule_conditions
from sensor.policy.properties import FILE_PROPERTIES, PROVENANCE_PROPERTIES, WORKLOAD_PROPERTIES
from sensor.policy.string_tables import RuleSet
from sensor.policy.value_ranges import NearValues, Value, ValueRange, evaluate_conditions

PAIR_CACHE_ENTRIES: Final = 16_384
"""Cached results per property: more than one policy needs, for a backtest's workloads and files come in no order."""


@dataclass(frozen=True, slots=True)
class PairResidual:
    """What a workload leaves undecided: the rules left, and those of them that still need each part of an event.

    Workloads with equal residuals get the same two decisions for the same file, parent, provenance and pod name. So a
    caller with many stored events decides each combination of what is still needed only once.
    """

    rules: RuleSet
    file: RuleSet
    parent: RuleSet
    provenance: RuleSet
    open_pods: RuleSet


class PolicyPair:
    """Two compiled policies, made from normalised documents."""

    def __init__(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
        rules = [*before["rules"], *after["rules"]]
        self._everything = (1 << len(rules)) - 1
        self._first = (1 << len(before["rules"])) - 1
        self._second = self._everything & ~self._first
        defaults = [effective_action(each["default"]) for each in (before, after)]
        self._defaults = [Decision(action, DEFAULT_RULE, "default") for action in defaults]
        self._rules = [RuleDecisions(rule) for rule in rules]
        self._enabled = rule_mask(rule["enabled"] for rule in rules)
        self._clouds = CloudScopeTable(rules)
        self._lists = AllowListTable(rules)
        self._matchers = PolicyMatchers(rules, self._everything, PAIR_CACHE_ENTRIES)
        self._workload_matchers = self._matchers.select(WORKLOAD_PROPERTIES)
        self._pod_conditions = [_pod_conditions(rule) for rule in rules]
        self._alike = _alike(self._pod_conditions)
        self._near_pods = NearValues(
            # Without a value of its first condition, a rule matches no pod.
            (*value, 1 << position)
            for position, conditions in enumerate(self._pod_conditions)
            for value in (conditions[0] if conditions else ())
        )
        self._need_pod = self._rules_with(["pod_name"])
        self._need_parent = self._rules_with(["parent_process"])
        self._need_provenance = self._rules_with(PROVENANCE_PROPERTIES)
        self._need_file = self._rules_with(FILE_PROPERTIES)

    def candidates(self, workload: FlatEvent) -> RuleSet:
        """Return the rules that may decide this workload's events, whatever its pods are called."""
        in_cloud = self._enabled & self._clouds.matching(workload.get("provider"), workload.get("account"))
        return self._until_certain(narrow(in_cloud, self._workload_matchers, workload), self._need_pod)

    def residual(self, rules: RuleSet, pods: ValueRange | None = None) -> PairResidual:
        """Return what both decisions of a workload's events still depend on, given its candidates.

        `pods` is the range of its pods' names: it settles most of the rules that look at nothing else of them.
        """
        open_pods = rules & self._need_pod
        if pods is not None and open_pods:
            missed, open_pods = self._settle_pods(open_pods, pods)
            rules = self._until_certain(rules & ~missed, open_pods)
        return PairResidual(
            rules,
            file=rules & (self._need_file | self._lists.having),
            parent=rules & self._need_parent,
            provenance=rules & self._need_provenance,
            open_pods=rules & open_pods,
        )

    def pod_values(self, rules: RuleSet) -> list[Value]:
        """Return the folded values these rules compare the pod name with; where none holds, no such rule matches."""
        return [value for rule in _positions(rules) for values in self._pod_conditions[rule] for value in values]

    def passing(self, names: Collection[str], event: FlatEvent) -> RuleSet:
        """Return the rules whose conditions on these properties hold: and-ed with a residual's, those still left."""
        return narrow(self._everything, self._matchers.select(names), event)

    def has_conditions(self, names: Collection[str]) -> bool:
        """Return whether an enabled rule has a condition on any of these properties."""
        return bool(self._rules_with(names) & self._enabled)

    def listing(self, event: FlatEvent) -> RuleSet:
        """Return the rules with the event's process on their allow list."""
        return self._lists.listing(event)

    def decide(self, candidates: RuleSet, listed: RuleSet) -> tuple[Decision, Decision]:
        """Return both decisions, given the rules whose scopes all match and those that list the process."""
        left = candidates & (self._lists.decisive | listed)
        return self._decide(left & self._first, listed, 0), self._decide(left & self._second, listed, 1)

    def _decide(self, left: RuleSet, listed: RuleSet, side: int) -> Decision:
        if not left:
            return self._defaults[side]
        first = left & -left
        rule = self._rules[first.bit_length() - 1]
        if not first & self._lists.having:
            return rule.by_scope
        return rule.by_list if first & listed else rule.unlisted

    def _until_certain(self, rules: RuleSet, open_pods: RuleSet) -> RuleSet:
        """Return each policy's rules up to the first that certainly decides."""
        needed = open_pods | self._need_parent | self._need_provenance | self._need_file
        certain = rules & self._lists.decisive & ~needed
        return _until_first(rules & self._first, certain) | _until_first(rules & self._second, certain)

    def _settle_pods(self, rules: RuleSet, pods: ValueRange) -> tuple[RuleSet, RuleSet]:
        """Return the rules that match none of the pods, and those that may match some and not others."""
        missed, unsettled = rules & ~self._near_pods.rules(pods), 0
        rules ^= missed
        while rules:
            # Many rules share their conditions, those of the two policies at least, so each is evaluated once.
            position = (rules & -rules).bit_length() - 1
            alike = rules & self._alike[position]
            result = evaluate_conditions(pods, self._pod_conditions[position])
            if result is False:
                missed |= alike
            elif result is None:
                unsettled |= alike
            rules ^= alike
        return missed, unsettled

    def _rules_with(self, names: Collection[str]) -> RuleSet:
        """Return the rules with a condition on any of these properties."""
        return reduce(or_, (matcher.has for matcher in self._matchers.select(names)), 0)


def _until_first(rules: RuleSet, certain: RuleSet) -> RuleSet:
    """Return the rules up to and with the first certain one; all of them where none is certain."""
    first = rules & certain
    first &= -first
    return rules & ((first << 1) - 1) if first else rules


def _positions(rules: RuleSet) -> list[int]:
    found = []
    while rules:
        first = rules & -rules
        found.append(first.bit_length() - 1)
        rules ^= first
    return found


def _pod_conditions(rule: Mapping[str, Any]) -> tuple[tuple[Value, ...], ...]:
    """Return a rule's conditions on the pod name."""
    conditions = [each for each in rule_conditions(rule) if each["property"] == "pod_name"]
    return tuple(tuple(folded_values(condition)) for condition in conditions)


def _alike(conditions: Sequence[Hashable]) -> list[RuleSet]:
    """Return, for the conditions of each rule, the rules with equal ones."""
    found: dict[Hashable, RuleSet] = {}
    for position, each in enumerate(conditions):
        found[each] = found.get(each, 0) | 1 << position
    return [found[each] for each in conditions]
