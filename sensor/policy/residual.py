"""What is left to ask of an event once its workload is known.

A workload leaves a handful of candidates, and what they ask of the process and the pod name is little: so it is
laid out once per set of candidates. Pod names are new in almost every event, and mostly no candidate's value
holds for one: a quick test of just those values spares the index over all rules.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sensor.policy.bounded_cache import Memo
from sensor.policy.decisions import Event
from sensor.policy.index import FewValues, Rules
from sensor.policy.matchers import Slot, Slots, folded_values, narrow
from sensor.policy.properties import PROCESS_PROPERTIES

FEW: Final = 64
"""Values that one quick test may have; with more of them the index is the cheaper way."""


class Plan:
    """The candidates of some workloads, and the slots that these ask."""

    __slots__ = ("_candidates", "_free", "_pod_slots", "_pods", "_process_slots")

    def __init__(
        self, candidates: Rules, process_slots: list[Slot], pod_slots: list[Slot], pods: FewValues | None
    ) -> None:
        self._candidates = candidates
        self._process_slots = process_slots
        self._pod_slots = pod_slots
        self._pods = pods
        self._free = candidates
        for slot in pod_slots:
            self._free &= ~slot.has

    def candidates(self, event: Event) -> Rules:
        """The rules whose scopes all hold for the event."""
        left = self._candidates
        for slot in self._process_slots:
            left &= slot.passes(event.get(slot.name))
        if not self._pod_slots or not left:
            return left
        pod_name = event.get("pod_name")
        if pod_name is None or (self._pods is not None and not self._pods.hold(pod_name.casefold())):
            return left & self._free
        return narrow(left, self._pod_slots, event)


class Plans:
    """The plans of a policy, laid out as sets of candidates turn up."""

    __slots__ = ("_known", "_pod_slots", "_pods", "_process_slots", "_reused")

    def __init__(self, rules: Sequence[Mapping[str, Any]], slots: Slots, entries: int) -> None:
        self._process_slots = slots.of(PROCESS_PROPERTIES)
        self._pod_slots = slots.of(["pod_name"])
        self._pods = [_pod_values(rule) for rule in rules]
        self._known: Memo[Plan] = Memo(entries)
        # A test that is laid out for one event alone does not pay.
        self._reused = entries > 0

    def of(self, candidates: Rules) -> Plan:
        """The plan for these candidates."""
        known = self._known.get(candidates)
        return self._known.keep(candidates, self._lay_out(candidates)) if known is None else known

    def _lay_out(self, candidates: Rules) -> Plan:
        process_slots = [slot for slot in self._process_slots if candidates & slot.has]
        pod_slots = [slot for slot in self._pod_slots if candidates & slot.has]
        return Plan(candidates, process_slots, pod_slots, self._quick_test(candidates, pod_slots))

    def _quick_test(self, candidates: Rules, pod_slots: list[Slot]) -> FewValues | None:
        asked = candidates & pod_slots[0].has if pod_slots and self._reused else 0
        values: list[tuple[str, str]] = []
        while asked:
            first = asked & -asked
            values += self._pods[first.bit_length() - 1]
            if len(values) > FEW:
                return None
            asked ^= first
        return FewValues(values) if values else None


def _pod_values(rule: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The values of a rule's first condition on the pod name: if none of them holds, the rule does not."""
    for condition in rule["resource_scope"]:
        if condition["property"] == "pod_name":
            return folded_values(condition)
    return []
