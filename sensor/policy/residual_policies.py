"""The residual of a policy for a workload: the few rules left, and what they still compare of an event.

It is built once per set of candidate rules. Pod names are new in almost every event, and mostly match no candidate's
value: a quick test of just those values saves the lookup in the index of all rules.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sensor.policy.bounded_cache import BoundedCache
from sensor.policy.decisions import FlatEvent
from sensor.policy.matchers import PolicyMatchers, PropertyMatcher, folded_values, narrow
from sensor.policy.properties import PROCESS_PROPERTIES
from sensor.policy.string_tables import RuleSet
from sensor.policy.value_index import ValueTest

MAX_TEST_VALUES: Final = 64
"""Values in one quick test; with more of them the index is cheaper."""


class ResidualPolicy:
    """The candidates of some workloads, and the matchers that these still need."""

    __slots__ = ("_candidates", "_pod_matchers", "_pod_test", "_process_matchers", "_without_pod")

    def __init__(
        self,
        candidates: RuleSet,
        process_matchers: list[PropertyMatcher],
        pod_matchers: list[PropertyMatcher],
        pod_test: ValueTest | None,
    ) -> None:
        self._candidates = candidates
        self._process_matchers = process_matchers
        self._pod_matchers = pod_matchers
        self._pod_test = pod_test
        self._without_pod = candidates
        for matcher in pod_matchers:
            self._without_pod &= ~matcher.has

    def candidates(self, event: FlatEvent) -> RuleSet:
        """Return the rules whose scopes all match the event."""
        left, get = self._candidates, event.get
        for matcher in self._process_matchers:
            # Few rules are left after the first: what only others look at need not be looked up.
            if left & matcher.has:
                left &= matcher.passing(get(matcher.name))
        if not self._pod_matchers or not left:
            return left
        pod_name = get("pod_name")
        if pod_name is None or (self._pod_test is not None and not self._pod_test.holds(pod_name.casefold())):
            return left & self._without_pod
        return narrow(left, self._pod_matchers, event)


class ResidualPolicies:
    """The residual policies of a policy, built as sets of candidates turn up."""

    __slots__ = ("_cache", "_is_reused", "_pod_matchers", "_pod_values", "_process_matchers")

    def __init__(self, rules: Sequence[Mapping[str, Any]], matchers: PolicyMatchers, entries: int) -> None:
        self._process_matchers = matchers.select(PROCESS_PROPERTIES)
        self._pod_matchers = matchers.select(["pod_name"])
        self._pod_values = [_pod_values(rule) for rule in rules]
        self._cache: BoundedCache[ResidualPolicy] = BoundedCache(entries)
        # A test that is built for one event alone does not pay.
        self._is_reused = entries > 0

    def get(self, candidates: RuleSet) -> ResidualPolicy:
        """Return the residual policy of these candidates."""
        known = self._cache.get(candidates)
        return self._cache.put(candidates, self._build(candidates)) if known is None else known

    def _build(self, candidates: RuleSet) -> ResidualPolicy:
        process_matchers = [matcher for matcher in self._process_matchers if candidates & matcher.has]
        pod_matchers = [matcher for matcher in self._pod_matchers if candidates & matcher.has]
        return ResidualPolicy(candidates, process_matchers, pod_matchers, self._pod_test(candidates, pod_matchers))

    def _pod_test(self, candidates: RuleSet, pod_matchers: list[PropertyMatcher]) -> ValueTest | None:
        left = candidates & pod_matchers[0].has if pod_matchers and self._is_reused else 0
        values: list[tuple[str, str]] = []
        while left:
            first = left & -left
            values += self._pod_values[first.bit_length() - 1]
            if len(values) > MAX_TEST_VALUES:
                return None
            left ^= first
        return ValueTest(values) if values else None


def _pod_values(rule: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the values of a rule's first condition on the pod name: if none of them holds, the rule does not match."""
    for condition in rule["resource_scope"]:
        if condition["property"] == "pod_name":
            return folded_values(condition)
    return []
