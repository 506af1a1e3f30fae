"""How two policies decide the same event: numbered transitions from the one's decision to the other's.

`before` is the version that a document started from, `after` is the document.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from sensor.policy import DEFAULT_RULE, PairResidual, PolicyPair, ValueRange
from sensor.policy.properties import FILE_PROPERTIES, PROVENANCE_PROPERTIES

DEFAULT_NAME: Final = "Default binary drift rule"
UNSEEN: Final = "detect"
"""In place of a rule's id: sensors would not report the event, as the policy does not detect its kind."""
LEVELS: Final = {"unseen": 0, "ignore": 0, "alert": 1, "block": 2}
"""By action: 0 raises no alert, 1 raises one, 2 blocks as well."""
EVERY_RULE: Final = -1
MAX_CACHED: Final = 100_000


class RuleOutcome(NamedTuple):
    """One policy's decision: `action` is alert, block, ignore or unseen; `rule` an id, "default" or UNSEEN."""

    rule: str
    action: str


class Transition(NamedTuple):
    """Both policies' decisions of one event."""

    before: RuleOutcome
    after: RuleOutcome

    @property
    def levels(self) -> tuple[int, int]:
        return LEVELS[self.before.action], LEVELS[self.after.action]


class FileClass(NamedTuple):
    """Files that both policies cannot tell apart.

    `passing` and `listed` are bit sets of rules: those whose conditions on the file hold, and those that list it.
    `seen`: whether sensors report its kind under each policy.
    """

    passing: int
    listed: int
    seen: tuple[bool, bool]


ANY_FILE: Final = FileClass(EVERY_RULE, 0, (True, True))
Value = tuple[str, str]
"""An operator and a case-folded string."""


class TransitionTable:
    """Both policies, and the transitions found so far; a transition's number is its index in `transitions`."""

    def __init__(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
        self._pair = PolicyPair(before, after)
        self._detect = frozenset(before["detect"]), frozenset(after["detect"])
        self._numbers: dict[Transition, int] = {}
        self._cache: dict[tuple[int, int, tuple[bool, bool]], int] = {}
        self.transitions: list[Transition] = []
        self.needs_provenances = self._pair.has_conditions(PROVENANCE_PROPERTIES)
        self.needs_pods = self._pair.has_conditions(["pod_name"])
        self.parents = sorted({text for _, text in compared_values("parent_process", before, after)})

    def candidates(self, workload: Mapping[str, Any]) -> int:
        """Return the rules that may decide events of a workload, given as flat facts, whatever its pods are called."""
        return self._pair.candidates(workload)

    def outlook(self, candidates: int, pods: ValueRange | None) -> PairResidual:
        """Return what a workload with these candidates leaves to be decided by file, parent, provenance and pod."""
        return self._pair.residual(candidates, pods)

    def pod_values(self, rules: int) -> list[Value]:
        """Return the values that these rules compare the pod name with."""
        return self._pair.pod_values(rules)

    def file_class(self, facts: Mapping[str, str | None]) -> FileClass:
        """Return the class of a file, given as its FILE_PROPERTIES."""
        kind = facts["drift_kind"]
        seen = not kind or kind in self._detect[0], not kind or kind in self._detect[1]
        return FileClass(self._pair.passing(FILE_PROPERTIES, facts), self._pair.listing(facts), seen)

    def provenance(self, facts: Mapping[str, str | None]) -> int:
        """Return the rules whose conditions on the provenance hold, given its PROVENANCE_PROPERTIES; {}: unknown."""
        return self._pair.passing(PROVENANCE_PROPERTIES, facts)

    def passing(self, name: str, value: str | None) -> int:
        """Return the rules whose conditions on this property hold for the value; None: the event lacks the property."""
        return self._pair.passing([name], {name: value})

    def number(self, candidates: int, file: FileClass) -> int:
        """Return the number of the transition of an event of which, its file apart, these rules are left."""
        candidates &= file.passing
        key = candidates, candidates & file.listed, file.seen
        number = self._cache.get(key)
        if number is None:
            if len(self._cache) >= MAX_CACHED:
                self._cache.clear()
            number = self._cache[key] = self._number(candidates, file)
        return number

    def _number(self, candidates: int, file: FileClass) -> int:
        decisions = self._pair.decide(candidates, file.listed)
        before, after = (
            RuleOutcome(each.rule, each.action) if seen else RuleOutcome(UNSEEN, "unseen")
            for each, seen in zip(decisions, file.seen, strict=True)
        )
        number = self._numbers.setdefault(Transition(before, after), len(self.transitions))
        if number == len(self.transitions):
            self.transitions.append(Transition(before, after))
        return number


def rule_names(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, str]:
    """Return names by rule id: the rules of `after` in order, those that only `before` has, the default."""
    later = {rule["id"]: rule["name"] for rule in after["rules"]}
    gone = {rule["id"]: rule["name"] for rule in before["rules"] if rule["id"] not in later}
    return later | gone | {DEFAULT_RULE: DEFAULT_NAME, UNSEEN: "Not detected"}


def compared_values(name: str, *documents: Mapping[str, Any]) -> set[tuple[str, str]]:
    """Return the operators and strings that enabled rules of any of the documents compare this property with."""
    return {
        (value["operator"], value["value"])
        for document in documents
        for rule in document["rules"]
        if rule["enabled"]
        for condition in (*rule["resource_scope"], *rule["process_scope"])
        if condition["property"] == name
        for value in condition["any_of"]
    }
