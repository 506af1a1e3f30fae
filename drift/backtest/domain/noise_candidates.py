"""The rules that a noise budget may choose from: one for each group of alerts that have something in common."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from drift.backtest.domain.noise_cells import Cell
from drift.backtest.domain.noise_evidence import NoiseEstate, NoisePlace
from drift.backtest.domain.noise_matching import ignored_cells
from drift.backtest.domain.noise_refusals import Judged, changing_keys
from drift.backtest.domain.noise_rules import MAX_CONTENTS, Json, NoiseRules
from drift.backtest.domain.noise_spreads import CHANGING_CONTENTS
from drift.backtest.domain.noise_workloads import WorkloadSpreads

MAX_CANDIDATES: Final = 300
"""Those of the largest groups; as many rules are compiled and compared with each cell."""
MAX_PARTS: Final = 12
"""Rules that one group is divided among, a hundred contents each."""
ROUNDS: Final = 3
"""How often contents that a rule must not ignore are taken out of it."""
MAX_WIDTHS: Final = (1, 4, 12)
"""Pairs of workload and content that a rule may allow beside each that was seen: more only where fewer don't do."""
STRAYS: Final = 20
"""Of so many rows of a rule by place, one may be of another shape, whose path its patterns hold for."""
WIDE: Final = 10_000
"""The width of a rule by place, beside which no rule by content is wide."""


class Group(NamedTuple):
    """Cells, by their numbers, that one rule may ignore. `key` orders groups of one size."""

    key: tuple[str, Hashable, int]
    cells: tuple[int, ...]
    by_content: bool


@dataclass(frozen=True)
class Candidate:
    """A rule, the cells that it ignores by their numbers, and how much more it allows than was seen (`width`).

    `reach` is the least of MAX_WIDTHS that admits it.
    """

    rule: Json
    cells: frozenset[int]
    width: int
    by_content: bool
    reach: int = MAX_WIDTHS[0]


class Candidates:
    """Finds rules that ignore no cell but those that may be absorbed (`is_open`): not refused, in the budget's place.

    `taken_strays` are cells that were refused for want of a family alone, and that rules by place ignore with others'.
    """

    def __init__(
        self,
        estate: NoiseEstate,
        cells: Sequence[Cell],
        judged: Judged,
        workloads: WorkloadSpreads,
        *,
        place: NoisePlace,
        rules: NoiseRules,
    ) -> None:
        self._estate, self._cells, self._rules = estate, cells, rules
        inside = {pk for pk, workload in estate.workloads.items() if place.holds(workload)}
        held = {number for number, cell in enumerate(cells) if cell.row.workload in inside}
        self.is_open = [refusal is None and number in held for number, refusal in enumerate(judged.refusals)]
        self._changing, self._strays = judged.changing & held, judged.strays & held
        self.taken_strays: set[int] = set()
        self._scopes = [workloads.place(cell.row.workload) for cell in cells]
        self._contents = [estate.files[cell.row.file].sha256 for cell in cells]
        self._weights = {
            number: sum(estate.rows[place].days.bit_count() for place in cells[number].places)
            for number, is_open in enumerate(self.is_open)
            if is_open
        }

    def found(self) -> list[Candidate]:
        """Return the rules in a fixed order."""
        groups = self._groups()
        found: dict[str, Candidate] = {}
        for _ in range(ROUNDS):
            made = [
                (each, self._rules.rule(each.cells, by_content=each.by_content)) for each in self._estate.paced(groups)
            ]
            rules = {rule["id"]: (rule, group) for group, rule in made if rule is not None}
            matched = ignored_cells(self._estate, self._cells, [rule for rule, _ in rules.values()])
            groups = []
            for (rule, group), (whole, partly) in zip(rules.values(), matched, strict=True):
                unwanted = {number for number in (*whole, *partly) if not self.is_open[number]}
                is_bounded = not group.by_content and self._row_count(unwanted) * STRAYS <= self._row_count(whole)
                if not unwanted <= (self._strays if is_bounded else set()):
                    groups += self._without(group, unwanted)
                    continue
                self.taken_strays |= unwanted
                width, seen = self._width(whole, by_content=group.by_content)
                reach = next((each for each in MAX_WIDTHS if not group.by_content or width <= each * seen), None)
                if reach is not None:
                    found[rule["id"]] = Candidate(rule, frozenset(whole), width, group.by_content, reach)
        return [found[each] for each in sorted(found)]

    def _row_count(self, numbers: Iterable[int]) -> int:
        return sum(len(self._cells[number].places) for number in numbers)

    def _groups(self) -> list[Group]:
        """Return the largest groups of cells that may be absorbed."""
        numbers = [number for number, is_open in enumerate(self.is_open) if is_open]
        grouped: defaultdict[tuple[str, Hashable], list[int]] = defaultdict(list)
        for number in self._estate.paced(numbers):
            # What is rare only goes with all else of its place.
            for common in () if self._cells[number].are_rare else self._keys(number):
                grouped[common].append(number)
        found: dict[tuple[int, ...], Group] = {}
        for (name, key), members in grouped.items():
            for place, part in enumerate(self._parts(members)):
                found.setdefault(part, Group((name, key, place), part, by_content=True))
        groups = [*found.values(), *self._changing_groups([number for number in numbers if number in self._changing])]
        weights = [sum(self._weights[number] for number in group.cells) for group in groups]
        least = sorted(weights, reverse=True)[:MAX_CANDIDATES][-1:]
        large = [
            (-weight, repr(group.key), group)
            for weight, group in zip(weights, groups, strict=True)
            if [weight] >= least
        ]
        return [group for _, _, group in sorted(large, key=lambda each: each[:2])[:MAX_CANDIDATES]]

    def _keys(self, number: int) -> list[tuple[str, Hashable]]:
        """Return what cells of one rule by content have in common, from the narrowest to the widest.

        The session is part of each: a rule that names one holds for no event in which it is unknown.
        """
        row = self._cells[number].row
        workload, content = self._estate.workloads[row.workload], self._contents[number]
        family = self._estate.family(row)
        image, session = family.image, family.session
        place = workload.cluster_id, workload.namespace
        return [
            ("content of a family", (content, family)),
            ("workload", (self._scopes[number], image, session)),
            ("family", family),
            ("image", (image, session)),
            ("image in a namespace", (image, place, session)),
            ("content", (content, session)),
            ("namespace", (place, session)),
            ("namespaces of a name", (workload.namespace, session)),
            ("writer", (family.writer, family.origin, session)),
            ("cluster", (workload.cluster_id, session)),
            ("estate", session),
        ]

    def _parts(self, members: Sequence[int]) -> list[tuple[int, ...]]:
        """Divide cells into parts of at most a hundred contents, those of the most frequent contents first."""
        weights: Counter[str] = Counter()
        for number in members:
            weights[self._contents[number]] += self._weights[number]
        if len(weights) <= MAX_CONTENTS:
            return [tuple(members)]
        order = sorted(weights, key=lambda content: (-weights[content], content))
        part_of = {content: rank // MAX_CONTENTS for rank, content in enumerate(order)}
        parts: defaultdict[int, list[int]] = defaultdict(list)
        for number in members:
            parts[part_of[self._contents[number]]].append(number)
        return [tuple(parts[each]) for each in sorted(parts)][:MAX_PARTS]

    def _changing_groups(self, numbers: Sequence[int]) -> list[Group]:
        """Return groups by place of cells whose content is new each time."""
        joined: defaultdict[tuple[str, Hashable], list[int]] = defaultdict(list)
        for number in numbers:
            row = self._cells[number].row
            workload, family = self._estate.workloads[row.workload], self._estate.family(row)
            for key in changing_keys(self._estate, row):
                joined["changing family", key].append(number)
            joined["changing ways", family[1:]].append(number)
            joined["changing image", family.image].append(number)
            joined["changing writer", family.writer].append(number)
            joined["changing namespace", (workload.cluster_id, workload.namespace)].append(number)
        return [
            Group((name, key, 0), tuple(members), by_content=False)
            for (name, key), members in joined.items()
            if len({content for number in members for content in self._cells[number].contents}) >= CHANGING_CONTENTS
        ]

    def _without(self, group: Group, unwanted: set[int]) -> list[Group]:
        """Return the group without what made its rule ignore unwanted cells: their contents, or their families."""

        def mark(number: int) -> Hashable:
            return self._contents[number] if group.by_content else self._estate.family(self._cells[number].row)

        marks = {mark(number) for number in unwanted}
        left = tuple(number for number in group.cells if mark(number) not in marks)
        return [group._replace(cells=left)] if left and len(left) < len(group.cells) else []

    def _width(self, numbers: Sequence[int], *, by_content: bool) -> tuple[int, int]:
        """Return how many pairs of the rule's workloads and contents were never seen, and how many were."""
        scopes = {self._scopes[number] for number in numbers}
        if not by_content:
            return WIDE * len(scopes), len(scopes)
        contents = {self._contents[number] for number in numbers}
        seen = {(self._scopes[number], self._contents[number]) for number in numbers}
        return len(scopes) * len(contents) - len(seen), len(seen)
