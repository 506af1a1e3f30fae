"""What two policies say of the same event, and the counts of it: pure, no database.

`before` is the version that a document started from, `after` is the document.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from sensor.policy import DEFAULT_RULE, Outlook, Policy, compile_policy

DEFAULT_NAME: Final = "Default binary drift rule"
UNSEEN: Final = "detect"
"""Stands for the rule of an event whose kind sensors would not report at all under that document."""
LEVELS: Final = {"unseen": 0, "ignore": 0, "alert": 1, "block": 2}
"""How an action counts: whether it makes an alert, and whether it blocks."""


FACETS: Final = (
    ("process_name", "process_path", "process_sha256", "drift_kind"),
    ("parent_process",),
    ("pod_name",),
)
"""What is looked up together, because it turns up together."""
MOST_REMEMBERED: Final = 100_000


class Said(NamedTuple):
    """One policy's decision: `action` is alert, block, ignore or unseen; `rule` an id, "default" or UNSEEN."""

    rule: str
    action: str


class Transition(NamedTuple):
    """What both say."""

    before: Said
    after: Said

    @property
    def levels(self) -> tuple[int, int]:
        return LEVELS[self.before.action], LEVELS[self.after.action]


class Side:
    """One of the two documents, compiled."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.policy: Policy = compile_policy(document)
        self.detect = frozenset(document["detect"])
        self._passing: dict[tuple[str | None, ...], int] = {}

    def says(self, outlook: Outlook, facts: Mapping[str, str | None]) -> Said:
        """The decision for an event of a workload with this outlook."""
        if facts["drift_kind"] and facts["drift_kind"] not in self.detect:
            return Said(UNSEEN, "unseen")
        left = outlook.rules
        for names in FACETS:
            if left:
                left &= self._rules_passing(names, facts)
        decision = self.policy.decide_among(left, facts)
        return Said(decision.rule, decision.action)

    def _rules_passing(self, names: tuple[str, ...], facts: Mapping[str, str | None]) -> int:
        """As `Policy.passing`, remembered within bounds: one file turns up in many workloads."""
        key = (names[0], *(facts[name] for name in names))
        known = self._passing.get(key)
        if known is None:
            if len(self._passing) >= MOST_REMEMBERED:
                self._passing.clear()
            known = self._passing[key] = self.policy.passing(names, facts)
        return known


class WorkloadClass(NamedTuple):
    """Workloads that leave the same open under both policies, and what must be known of an event to decide it."""

    before: Outlook
    after: Outlook
    file: bool
    parent: bool
    pod: bool


class Judge:
    """Both policies, and the transitions they have made so far, numbered."""

    def __init__(self, before: Mapping[str, Any], after: Mapping[str, Any], kinds: frozenset[str]) -> None:
        """`kinds` are the kinds of drift that were seen: where both report them all, the kind alone changes nothing."""
        self._before, self._after = Side(before), Side(after)
        self._needs_kind = not kinds <= self._before.detect & self._after.detect
        self._numbers: dict[Transition, int] = {}
        self.transitions: list[Transition] = []

    def class_of(self, workload: Mapping[str, Any]) -> WorkloadClass:
        """The class of a workload, given as the flat facts that a policy looks at."""
        before, after = self._before.policy.outlook(workload), self._after.policy.outlook(workload)
        return WorkloadClass(
            before,
            after,
            file=before.process or after.process or self._needs_kind,
            parent=before.parent or after.parent,
            pod=before.pod_name or after.pod_name,
        )

    def number(self, workloads: WorkloadClass, facts: Mapping[str, str | None]) -> int:
        """The number of the transition of such an event; facts that the class does not ask for may be None."""
        made = Transition(self._before.says(workloads.before, facts), self._after.says(workloads.after, facts))
        known = self._numbers.setdefault(made, len(self.transitions))
        if known == len(self.transitions):
            self.transitions.append(made)
        return known


@dataclass
class Tally:
    """Events and execs by transition number."""

    events: list[int] = field(default_factory=list)
    execs: list[int] = field(default_factory=list)

    def add(self, number: int, events: int, execs: int) -> None:
        """Count more of one transition."""
        missing = number + 1 - len(self.events)
        if missing > 0:
            self.events += [0] * missing
            self.execs += [0] * missing
        self.events[number] += events
        self.execs[number] += execs


def rule_names(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, str]:
    """Names by rule id: the later document's rules in their order, those that only the earlier one has, the default."""
    later = {rule["id"]: rule["name"] for rule in after["rules"]}
    gone = {rule["id"]: rule["name"] for rule in before["rules"] if rule["id"] not in later}
    return later | gone | {DEFAULT_RULE: DEFAULT_NAME, UNSEEN: "Not detected"}


def values_asked(name: str, *documents: Mapping[str, Any]) -> set[tuple[str, str]]:
    """Operators and texts that enabled rules of any of the documents compare this property with."""
    return {
        (value["operator"], value["value"])
        for document in documents
        for rule in document["rules"]
        if rule["enabled"]
        for condition in (*rule["resource_scope"], *rule["process_scope"])
        if condition["property"] == name
        for value in condition["any_of"]
    }
