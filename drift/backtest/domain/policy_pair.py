"""What two policies say of the same event, and the numbers under which PostgreSQL knows it: pure, no database.

`before` is the version that a document started from, `after` is the document.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Hashable, Iterator, Mapping, Sequence
from itertools import accumulate
from math import prod
from typing import Any, Final, NamedTuple

from sensor.policy import DEFAULT_RULE, Pair, PairOutlook, Span
from sensor.policy.properties import FILE_PROPERTIES

DEFAULT_NAME: Final = "Default binary drift rule"
UNSEEN: Final = "detect"
"""Stands for the rule of an event whose kind sensors would not report at all under that document."""
LEVELS: Final = {"unseen": 0, "ignore": 0, "alert": 1, "block": 2}
"""How an action counts: whether it makes an alert, and whether it blocks."""
EVERY_RULE: Final = -1
MOST_REMEMBERED: Final = 100_000


class RuleOutcome(NamedTuple):
    """One policy's decision: `action` is alert, block, ignore or unseen; `rule` an id, "default" or UNSEEN."""

    rule: str
    action: str


class Transition(NamedTuple):
    """What both say."""

    before: RuleOutcome
    after: RuleOutcome

    @property
    def levels(self) -> tuple[int, int]:
        return LEVELS[self.before.action], LEVELS[self.after.action]


class FileClass(NamedTuple):
    """Files that both policies take for the same: the rules whose conditions on the file hold, those that list it,
    and whether sensors report its kind under each."""

    passing: int
    listed: int
    seen: tuple[bool, bool]


ANY_FILE: Final = FileClass(EVERY_RULE, 0, (True, True))
Value = tuple[str, str]
"""An operator and a folded text."""


class PolicyPair:
    """Both policies, and the transitions they have made so far, numbered."""

    def __init__(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
        self._pair = Pair(before, after)
        self._detect = frozenset(before["detect"]), frozenset(after["detect"])
        self._numbers: dict[Transition, int] = {}
        self._known: dict[tuple[int, int, tuple[bool, bool]], int] = {}
        self.transitions: list[Transition] = []
        self.asks_pods = bool(self._pair.asking(["pod_name"]))
        self.parents = sorted({text for _, text in values_asked("parent_process", before, after)})

    def outlook(self, workload: Mapping[str, Any], pods: Span | None) -> PairOutlook:
        """What a workload, given as the flat facts that a policy looks at, leaves open."""
        return self._pair.outlook(workload, pods)

    def pod_values(self, rules: int) -> list[Value]:
        """The values that these rules compare the pod name with."""
        return self._pair.pod_values(rules)

    def file_class(self, facts: Mapping[str, str | None]) -> FileClass:
        """The class of a file, given as its FILE_PROPERTIES."""
        kind = facts["drift_kind"]
        seen = not kind or kind in self._detect[0], not kind or kind in self._detect[1]
        return FileClass(self._pair.passing(FILE_PROPERTIES, facts), self._pair.listing(facts), seen)

    def passing(self, name: str, value: str | None) -> int:
        """The rules whose conditions on this property hold for the value; None is none at all."""
        return self._pair.passing([name], {name: value})

    def number(self, candidates: int, file: FileClass) -> int:
        """The number of the transition that an event makes whose workload, parent and pod leave these rules."""
        candidates &= file.passing
        key = candidates, candidates & file.listed, file.seen
        number = self._known.get(key)
        if number is None:
            if len(self._known) >= MOST_REMEMBERED:
                self._known.clear()
            number = self._known[key] = self._number(candidates, file)
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


class Numbering:
    """Things that are told apart by a key, numbered in the order in which they turn up."""

    def __init__(self, *keys: Hashable) -> None:
        """`keys` are numbered already."""
        self._numbers: dict[Any, int] = {key: number for number, key in enumerate(keys)}

    def number(self, key: Hashable) -> int:
        """Its number; a new one for a new key."""
        return self._numbers.setdefault(key, len(self._numbers))

    @property
    def keys(self) -> list[Any]:
        return list(self._numbers)


class Strides(NamedTuple):
    """An event's key is `base` and so many times the numbers of its file, its parent and its pod; 0: not asked for."""

    base: int
    file: int
    parent: int
    pod: int


class KeySpace:
    """A key for each combination of workload, file, parent and pod that the policies may tell apart, from 0 on."""

    def __init__(
        self, outlooks: Sequence[PairOutlook], files: Sequence[FileClass], parents: Sequence[int], pods: Sequence[int]
    ) -> None:
        """The classes of each, by their numbers; parents and pods as the rules that hold for them."""
        self._outlooks, self._files, self._parents, self._pods = outlooks, files, parents, pods
        self._kinds_matter = any(file.seen != (True, True) for file in files)
        sizes = [prod(map(len, self._asked(each))) for each in outlooks]
        self._bases = [0, *accumulate(sizes)]

    def __len__(self) -> int:
        return self._bases[-1]

    def strides(self) -> list[Strides]:
        """Of each outlook, by its number."""
        found = []
        for base, outlook in zip(self._bases, self._outlooks, strict=False):
            files, parents, pods = (len(each) for each in self._asked(outlook))
            file = parents * pods if files > 1 else 0
            found.append(Strides(base, file, pods if parents > 1 else 0, 1 if pods > 1 else 0))
        return found

    def numbers(self, judge: PolicyPair) -> Iterator[int]:
        """The transition of every key, in order."""
        for outlook in self._outlooks:
            files, parents, pods = self._asked(outlook)
            for file in files:
                for parent in parents:
                    for pod in pods:
                        yield judge.number(outlook.rules & parent & pod, file)

    def number(self, judge: PolicyPair, key: int) -> int:
        """The transition of one key."""
        place = bisect_right(self._bases, key) - 1
        files, parents, pods = self._asked(self._outlooks[place])
        rest, pod = divmod(key - self._bases[place], len(pods))
        file, parent = divmod(rest, len(parents))
        return judge.number(self._outlooks[place].rules & parents[parent] & pods[pod], files[file])

    def _asked(self, outlook: PairOutlook) -> tuple[Sequence[FileClass], Sequence[int], Sequence[int]]:
        """What an event of such a workload may be; a single one where nothing is asked."""
        return (
            self._files if (outlook.file or self._kinds_matter) and self._files else (ANY_FILE,),
            self._parents if outlook.parent else (EVERY_RULE,),
            [pod | ~outlook.open_pods for pod in self._pods] if outlook.open_pods else (EVERY_RULE,),
        )


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
