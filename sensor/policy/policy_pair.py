"""Two policies compiled as one, for whoever decides many events by both: each text is looked up once.

The rules of the first take the low bits of a set of rules, those of the second the bits above them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import Any, Final

from sensor.policy.decisions import Decision, Event, Rule
from sensor.policy.index import Rules
from sensor.policy.lookup_tables import AllowLists, Clouds, mask_of
from sensor.policy.matchers import Slots, conditions_of, folded_values, narrow
from sensor.policy.properties import FILE_PROPERTIES, WORKLOAD_PROPERTIES
from sensor.policy.value_ranges import Span, Value, settle
from sensor.policy.vocabulary import DEFAULT_RULE

REMEMBERED: Final = 16_384
"""Results kept per property: workloads and files come in no order."""


@dataclass(frozen=True, slots=True)
class PairOutlook:
    """What a workload leaves open: the rules that may decide, whether they look at file and parent, and those for
    which it depends on the pod's name.

    Workloads with equal outlooks get the same two decisions for the same file, parent and pod name. So whoever
    decides many stored events needs to look at each combination of what is still asked for only once.
    """

    rules: Rules
    file: bool
    parent: bool
    open_pods: Rules


class Pair:
    """Two policies, given as normalised documents."""

    def __init__(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
        rules = [*before["rules"], *after["rules"]]
        self._everything = (1 << len(rules)) - 1
        self._first = (1 << len(before["rules"])) - 1
        self._second = self._everything & ~self._first
        self._defaults = [Decision(each["default"]["action"], DEFAULT_RULE, "default") for each in (before, after)]
        self._rules = [Rule(rule) for rule in rules]
        self._enabled = mask_of(rule["enabled"] for rule in rules)
        self._clouds = Clouds(rules)
        self._lists = AllowLists(rules)
        self._slots = Slots(rules, self._everything, REMEMBERED)
        self._of_workload = self._slots.of(WORKLOAD_PROPERTIES)
        self._pods = _pod_values(rules)
        self._asks_pod = self._asking(["pod_name"])
        self._asks_parent = self._asking(["parent_process"])
        self._asks_file = self._asking(FILE_PROPERTIES)

    def outlook(self, workload: Event, pods: Span | None = None) -> PairOutlook:
        """What both decisions for this workload's events still depend on.

        `pods` is what is known of its pods' names: then rules are settled that ask for nothing else of them.
        """
        in_cloud = self._enabled & self._clouds.within(workload.get("provider"), workload.get("account"))
        rules = self._down_to_certain(narrow(in_cloud, self._of_workload, workload), self._asks_pod)
        open_pods = rules & self._asks_pod
        if pods is not None and open_pods:
            missed, open_pods = self._settled(open_pods, pods)
            rules = self._down_to_certain(rules & ~missed, open_pods)
        return PairOutlook(
            rules,
            file=bool(rules & (self._asks_file | self._lists.having)),
            parent=bool(rules & self._asks_parent),
            open_pods=rules & open_pods,
        )

    def pod_values(self, rules: Rules) -> list[Value]:
        """The values, folded, that these rules compare the pod name with; where none holds, none of the rules does."""
        return [value for rule in _positions(rules) for values in self._pods[rule] for value in values]

    def passing(self, names: Collection[str], event: Event) -> Rules:
        """The rules whose conditions on these properties hold; and-ed with an outlook's, those left to decide."""
        return narrow(self._everything, self._slots.of(names), event)

    def asking(self, names: Collection[str]) -> Rules:
        """The enabled rules with a condition on any of these properties."""
        return self._asking(names) & self._enabled

    def listing(self, event: Event) -> Rules:
        """The rules with the event's process on their allow list."""
        return self._lists.listing(event)

    def decide(self, candidates: Rules, listed: Rules) -> tuple[Decision, Decision]:
        """Both decisions, where `candidates` are the rules whose scopes all hold, and `listed` those that list it."""
        left = candidates & (self._lists.decisive | listed)
        return self._decide(left & self._first, listed, 0), self._decide(left & self._second, listed, 1)

    def _decide(self, left: Rules, listed: Rules, side: int) -> Decision:
        if not left:
            return self._defaults[side]
        first = left & -left
        rule = self._rules[first.bit_length() - 1]
        if not first & self._lists.having:
            return rule.by_scope
        return rule.by_list if first & listed else rule.unlisted

    def _down_to_certain(self, rules: Rules, open_pods: Rules) -> Rules:
        """Of each policy the rules down to the first that surely decides."""
        certain = rules & self._lists.decisive & ~(open_pods | self._asks_parent | self._asks_file)
        return _down_to(rules & self._first, certain) | _down_to(rules & self._second, certain)

    def _settled(self, rules: Rules, pods: Span) -> tuple[Rules, Rules]:
        """Of rules that ask for the pod name, those that hold for none of the pods, and those that may differ."""
        missed = unsettled = 0
        known: dict[int, bool | None] = {}
        for position in _positions(rules):
            conditions = self._pods[position]
            if id(conditions) not in known:
                known[id(conditions)] = settle(pods, conditions)
            answer = known[id(conditions)]
            missed |= (answer is False) << position
            unsettled |= (answer is None) << position
        return missed, unsettled

    def _asking(self, names: Collection[str]) -> Rules:
        return reduce(or_, (slot.has for slot in self._slots.of(names)), 0)


def _down_to(rules: Rules, certain: Rules) -> Rules:
    first = rules & certain
    first &= -first
    return rules & ((first << 1) - 1) if first else rules


def _positions(rules: Rules) -> list[int]:
    found = []
    while rules:
        first = rules & -rules
        found.append(first.bit_length() - 1)
        rules ^= first
    return found


def _pod_values(rules: Sequence[Mapping[str, Any]]) -> list[tuple[tuple[Value, ...], ...]]:
    """Each rule's conditions on the pod name; equal ones are one object, so that they are settled once."""
    same: dict[tuple[tuple[Value, ...], ...], tuple[tuple[Value, ...], ...]] = {}
    found = []
    for rule in rules:
        asked = [each for each in conditions_of(rule) if each["property"] == "pod_name"]
        values = tuple(tuple(folded_values(condition)) for condition in asked)
        found.append(same.setdefault(values, values))
    return found
