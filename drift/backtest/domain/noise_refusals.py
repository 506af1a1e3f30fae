"""What a noise budget refuses to absorb, and why (docs/noise-budget.md#what-it-refuses)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Hashable, Mapping, Sequence
from typing import Final, NamedTuple

from drift.backtest.domain.noise_cells import Cell, Contents, attack_shapes, is_memory
from drift.backtest.domain.noise_evidence import NoiseEstate, NoiseEvidence, Refusal, container_count
from drift.backtest.domain.noise_spreads import MIN_CONTAINERS, MIN_DAYS, FamilySpread, Spread
from drift.backtest.domain.noise_workloads import LASTING_KINDS, WorkloadSpreads
from drift.backtest.domain.noise_writers import EXPOSED, FileWriter
from drift.backtest.domain.path_shapes import numbered_shape

LATE_DAYS: Final = 2
SETTLED_WORKLOADS, SETTLED_DAYS, SETTLED_CONTAINERS = 3, 10, 6
"""In so many workloads, or on so many days and in so many containers, a file that began late has settled."""
RECURRING_CONTAINERS: Final = 10
"""Pods of one image in one namespace that come and go on COMMON_DAYS, in so many containers, are no one-off pods."""
CHANGE_REASONS: Final = frozenset({Refusal.YOUNG, Refusal.RARE, Refusal.LOSSES, Refusal.LATE, Refusal.UNHASHED})
"""What follows from a content that is new each time, and what says little of established noise."""
Spreads = defaultdict[Hashable, Spread]


class Judged(NamedTuple):
    """The refusal of each cell, None where it may be absorbed, and cells by their numbers.

    `changing` are those of families whose content is new each time, where these are asked for. `strays` are refused
    for want of such a family alone: a path that differs by chance from those of others, say.
    """

    refusals: list[Refusal | None]
    changing: set[int]
    strays: set[int]


class WayOfFiles(NamedTuple):
    """How files come about, whatever they are. `whose` is who wrote them, in which image and session.

    `habits` are what is usual of such a writer's files: kind, and what started the writer and the file. `place` is
    `whose`, where a writer's other versions count as the same.
    """

    number: int
    whose: Hashable
    habits: tuple[Hashable, Hashable, Hashable]
    place: Hashable


class Keys(NamedTuple):
    """What a cell's evidence is counted by.

    `content`: in which way a content came about; the directory is left out, since a content is named by its hash.
    `pool`: who wrote a content, whatever started the writer and the file. `place`: where a writer writes a file,
    whatever its content: what is new at an old place is an update.
    """

    content: tuple[str, str, int]
    pool: tuple[str, Hashable]
    place: tuple[str, str, Hashable]
    way: WayOfFiles


class RefusalTable:
    """Finds the refusal of each cell. What is known of a content is counted over the whole estate and period."""

    def __init__(
        self,
        estate: NoiseEstate,
        cells: Sequence[Cell],
        contents: Contents,
        workloads: WorkloadSpreads,
        writers: Mapping[int, FileWriter],
        *,
        changing: bool,
    ) -> None:
        self._estate, self._cells, self._changing = estate, cells, changing
        self._known, self._workloads, self._writers = contents, workloads, writers
        self._contents: Spreads = defaultdict(Spread)
        self._pools: Spreads = defaultdict(Spread)
        self._places: Spreads = defaultdict(Spread)
        self._families: defaultdict[Hashable, FamilySpread] = defaultdict(FamilySpread)
        self._ways: dict[Hashable, WayOfFiles] = {}
        self._attack_shapes = attack_shapes(estate)
        self._keys = [self._cell_keys(cell.row) for cell in estate.paced(cells)]
        usages: defaultdict[int, Spread] = defaultdict(Spread)
        for cell, keys in estate.paced(zip(cells, self._keys, strict=True)):
            writer = self._writers[cell.row.provenance]
            if writer.is_known and not writer.is_person and not cell.row.lossy:
                place = workloads.place(cell.row.workload)
                usage = usages[keys.way.number]
                usage.add(cell.row, place)
                self._add(cell, keys, place)
        self._usual = _usual_ways(self._ways.values(), usages)
        self._varying = {key for key, spread in self._families.items() if spread.is_changing}

    def judged(self) -> Judged:
        """Return what may be absorbed of the cells."""
        numbers = range(len(self._cells))
        refusals = [self._waived(number, self._refusal(number)) for number in self._estate.paced(numbers)]
        if not self._changing:
            return Judged(refusals, set(), set())
        lacking = {number for number in numbers if refusals[number] in CHANGE_REASONS}
        return Judged(
            refusals,
            {number for number in self._estate.paced(numbers) if self._is_changing(number)},
            {number for number in lacking if self._may_change(number)},
        )

    def _waived(self, number: int, refusal: Refusal | None) -> Refusal | None:
        """Return the refusal, None where what is known besides outweighs it."""
        if refusal is Refusal.LOSSES and self._is_established(number):
            return None
        return None if self._changing and refusal in CHANGE_REASONS and self._is_changing(number) else refusal

    def _cell_keys(self, row: NoiseEvidence) -> Keys:
        estate, file = self._estate, self._estate.files[row.file]
        name, way = estate.shapes.name(file.path, file.name), self._way(row, file.kind)
        content = file.sha256
        return Keys((content, name, way.number), (content, way.whose), (estate.shapes[file.path], name, way.place), way)

    def _way(self, row: NoiseEvidence, kind: str) -> WayOfFiles:
        image = self._estate.image(row.workload)
        key = image, row.provenance, kind, row.parent
        known = self._ways.get(key)
        if known is None:
            _, _, _, writer, origin, writer_parent, session, parent = self._estate.family(row)
            whose = image, writer, origin, session
            habits = (0, kind, whose), (1, writer_parent, whose), (2, parent, whose)
            place = image, numbered_shape(writer), origin, session
            known = self._ways[key] = WayOfFiles(len(self._ways), whose, habits, place)
        return known

    def _add(self, cell: Cell, keys: Keys, place: Hashable) -> None:
        """Count a cell of a known writer, while whose sensor lost nothing."""
        row = cell.row
        if not cell.are_rare:
            self._contents[keys.content].add(row, place)
            self._pools[keys.pool].add(row, place)
        self._places[keys.place].add(row, place)
        if self._changing:
            for family in changing_keys(self._estate, row):
                self._families[family].add_contents(row, place, cell.contents)

    def _refusal(self, number: int, *, lossless: bool = False) -> Refusal | None:
        """Return a cell's first reason; `lossless`: as if its sensor had lost nothing."""
        row = self._cells[number].row
        danger = self._danger(row)
        if danger is not None:
            return danger
        if row.lossy and not lossless:
            return Refusal.LOSSES
        return self._ignorance(row) or self._evidence_refusal(number)

    def _danger(self, row: NoiseEvidence) -> Refusal | None:
        """Return the refusal of what may be an attack, or is one."""
        file = self._estate.files[row.file]
        if is_memory(file.kind, file.path):
            return Refusal.MEMORY
        if self._writers[row.provenance].is_person:
            return Refusal.PERSON
        if self._is_attack(row):
            return Refusal.TRUE_POSITIVE
        if file.sha256 in self._estate.bad_contents:
            return Refusal.KNOWN_BAD
        return Refusal.BLOCKED if row.action == "block" else None

    def _ignorance(self, row: NoiseEvidence) -> Refusal | None:
        """Return the refusal of a file whose writer, content or past is not known."""
        content = self._estate.files[row.file].sha256
        if not self._writers[row.provenance].is_known:
            return Refusal.UNKNOWN_WRITER
        if not content:
            return Refusal.UNHASHED
        return Refusal.YOUNG if self._known.is_young(content) else None

    def _is_attack(self, row: NoiseEvidence) -> bool:
        estate, file = self._estate, self._estate.files[row.file]
        if row.fingerprint in estate.attacks or (file.sha256 and file.sha256 in estate.attack_contents):
            return True
        return not file.sha256 and (estate.workloads[row.workload].scope, file.path) in estate.attack_files

    def _evidence_refusal(self, number: int) -> Refusal | None:
        """Return the refusal for want of evidence that the file belongs to how its workload is made."""
        cell, row = self._cells[number], self._cells[number].row
        is_one_off = self._workloads.is_one_off(row.workload)
        if is_one_off and not self._is_recurring(number):
            return Refusal.ONE_OFF
        if cell.are_rare:
            return Refusal.RARE
        seen = self._seen(number)
        if seen.day_count < MIN_DAYS or seen.container_count < MIN_CONTAINERS or (is_one_off and not seen.is_common):
            return Refusal.RARE
        if self._is_late(number, seen):
            return Refusal.LATE
        if self._is_exposed(row) and not seen.is_common:
            return Refusal.EXPOSED
        return Refusal.DECODED if self._writers[row.provenance].is_decoder else None

    def _seen(self, number: int) -> Spread:
        """Return where the content came about in the cell's way.

        Where all of the way is usual for its writer's files, the content's other ways by this writer count too. Whoever
        hides in the noise gains nothing by that: to come again in one way is easier than in several usual ones.
        """
        keys = self._keys[number]
        return self._pools[keys.pool] if self._is_usual(number) else self._contents[keys.content]

    def _is_usual(self, number: int) -> bool:
        """Return whether kind and starters are usual for files of this writer in this image."""
        return not self._is_exposed(self._cells[number].row) and self._keys[number].way.number in self._usual

    def _is_late(self, number: int, seen: Spread) -> bool:
        """Return whether a file began some days after its image at this place, and has not settled since."""
        keys = self._keys[number]
        release = self._workloads.release(self._cells[number].row.workload)
        first, last = seen.first_day, seen.last_day
        began = min(first, self._places[keys.place].first_day) if self._is_usual(number) else first
        if began <= release.first_day + LATE_DAYS or len(seen.workloads) >= SETTLED_WORKLOADS:
            return False
        # Where each pod runs once, many containers say only that it ran on many days.
        is_lasting = self._estate.workloads[self._cells[number].row.workload].owner_kind in LASTING_KINDS
        if is_lasting and seen.day_count >= SETTLED_DAYS and seen.container_count >= SETTLED_CONTAINERS:
            return False
        others = container_count(release.containers, first, last)
        return container_count(seen.containers, first, last) * 2 < others

    def _is_recurring(self, number: int) -> bool:
        """Return whether pods of the cell's image come and go in its namespace, as those of a CI system's jobs do."""
        kindred = self._workloads.kindred(self._cells[number].row.workload)
        return kindred.is_common and kindred.container_count >= RECURRING_CONTAINERS

    def _is_exposed(self, row: NoiseEvidence) -> bool:
        return row.parent in EXPOSED or self._writers[row.provenance].is_exposed

    def _is_established(self, number: int) -> bool:
        """Return whether the content is well known without what ran while sensors lost events."""
        return self._refusal(number, lossless=True) is None and self._seen(number).is_common

    def _is_changing(self, number: int) -> bool:
        """Return whether a cell is of a family whose content is new each time, written by the image's own program."""
        if not self._may_change(number):
            return False
        return not self._varying.isdisjoint(changing_keys(self._estate, self._cells[number].row))

    def _may_change(self, number: int) -> bool:
        """Return whether a cell's content may change, if its family's does."""
        estate, row = self._estate, self._cells[number].row
        writer = self._writers[row.provenance]
        if not writer.is_own_program or writer.is_decoder or self._is_exposed(row):
            return False
        if self._workloads.is_one_off(row.workload) and not self._is_recurring(number):
            return False
        scope = estate.workloads[row.workload].scope
        return estate.shapes.numbered(estate.files[row.file].path) not in self._attack_shapes.get(scope, ())


def changing_keys(estate: NoiseEstate, row: NoiseEvidence) -> list[tuple[Hashable, ...]]:
    """Return the families in which the row's content may always change: of its image, and of its namespace."""
    image, *ways = estate.family(row)
    workload = estate.workloads[row.workload]
    return [("image", image, *ways), ("namespace", workload.cluster_id, workload.namespace, *ways)]


def _usual_ways(ways: Collection[WayOfFiles], usages: Mapping[int, Spread]) -> set[int]:
    """Return the ways, by number, of which each habit was seen on some days and in some containers."""
    habits: defaultdict[Hashable, Spread] = defaultdict(Spread)
    for way in ways:
        if way.number in usages:
            for habit in way.habits:
                habits[habit].join(usages[way.number])
    usual = {habit for habit, spread in habits.items() if spread.is_common}
    return {way.number for way in ways if usual.issuperset(way.habits)}
