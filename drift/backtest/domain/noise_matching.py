"""Which evidence rules ignore, decided by the sensor's own code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from operator import and_, or_
from typing import Any, NamedTuple

from drift.backtest.domain.noise_cells import Cell, single_cells
from drift.backtest.domain.noise_evidence import NoiseEstate
from sensor.policy import PolicyPair
from sensor.policy.document_terms import DIGEST_PREFIX
from sensor.policy.properties import PROVENANCE_PROPERTIES


class Ignored(NamedTuple):
    """The cells that one rule ignores, by their numbers: all of a cell's rows (`whole`), or some (`partly`)."""

    whole: list[int]
    partly: list[int]


def ignored_cells(estate: NoiseEstate, cells: Sequence[Cell], rules: Sequence[Mapping[str, Any]]) -> list[Ignored]:
    """Return what each rule ignores alone."""
    matching = _Matching(estate, rules)
    found = [Ignored([], []) for _ in rules]
    for number, cell in enumerate(estate.paced(cells)):
        if not matching.may_list(cell):
            continue
        some, every = matching.rules(cell)
        for rule in _numbers(every):
            found[rule].whole.append(number)
        if some != every:
            for rule in _numbers(some & ~every):
                found[rule].partly.append(number)
    return found


def ignored_rows(estate: NoiseEstate, cells: Sequence[Cell], rule: Mapping[str, Any], ignored: Ignored) -> list[int]:
    """Return the places of the rows that a rule ignores alone, in order, given the cells that it ignores."""
    places = [place for number in ignored.whole for place in cells[number].places]
    rows = single_cells(estate, (place for number in ignored.partly for place in cells[number].places))
    if rows:
        (inside,) = ignored_cells(estate, rows, [rule])
        places += [rows[number].places[0] for number in inside.whole]
    return sorted(places)


class _Matching:
    """The rules that pass each part of an event; each part is compared once, when it is first needed."""

    def __init__(self, estate: NoiseEstate, rules: Sequence[Mapping[str, Any]]) -> None:
        nothing = {"rules": [], "default": {"action": "alert"}}
        shown = [{**rule, "name": "", "scope_description": "", "note": ""} for rule in rules]
        self._estate = estate
        self._pair = PolicyPair(nothing, {"rules": shown, "default": {"action": "alert"}})
        decisive = sum(1 << number for number, rule in enumerate(rules) if not rule["allow_list"])
        # Allow lists of these rules hold contents alone.
        contents = {entry.removeprefix(DIGEST_PREFIX) for rule in rules for entry in rule["allow_list"]}
        self._unlisted = decisive
        self._listed = {each: self._pair.listing({"process_sha256": each}) | decisive for each in contents}
        self._workloads: dict[int, int] = {}
        self._writers = {pk: self._pair.passing(PROVENANCE_PROPERTIES, flat) for pk, flat in estate.provenances.items()}
        self._passed: dict[tuple[str, str], int] = {}
        self._everywhere, self._shapes = _path_conditions(rules)

    def may_list(self, cell: Cell) -> bool:
        """Return whether some rule may ignore the cell for its content."""
        return bool(self._unlisted) or not self._listed.keys().isdisjoint(cell.contents)

    def rules(self, cell: Cell) -> tuple[int, int]:
        """Return the rules that ignore some of the cell's rows, and those that ignore all."""
        row = cell.row
        file = self._estate.files[row.file]
        listed, listed_all = self._listing(cell)
        left = listed & self._writers[row.provenance]
        if left:
            left &= self._in_workload(row.workload)
        if left:
            left &= self._passing("drift_kind", file.kind) & self._passing("parent_process", row.parent)
        if not left:
            return 0, 0
        # A path's shape holds for the path.
        sure = left & (self._everywhere | self._shapes.get(self._estate.shapes[file.path], 0))
        if sure == left:
            return left, left & listed_all
        passing = [left & self._passing("process_path", path) for path in cell.paths]
        return sure | reduce(or_, passing), (sure | reduce(and_, passing)) & listed_all

    def _listing(self, cell: Cell) -> tuple[int, int]:
        """Return the rules that may ignore some of the cell's contents, and those that may ignore all."""
        if self._listed.keys().isdisjoint(cell.contents):
            return self._unlisted, self._unlisted
        listing = [self._listed.get(content, self._unlisted) for content in cell.contents]
        return reduce(or_, listing), reduce(and_, listing)

    def _in_workload(self, pk: int) -> int:
        known = self._workloads.get(pk)
        if known is None:
            known = self._workloads[pk] = self._pair.candidates(self._estate.workloads[pk].flat)
        return known

    def _passing(self, name: str, value: str) -> int:
        known = self._passed.get((name, value))
        if known is None:
            known = self._passed[name, value] = self._pair.passing([name], {name: value or None})
        return known


def _path_conditions(rules: Sequence[Mapping[str, Any]]) -> tuple[int, dict[str, int]]:
    """Return the rules for any path, and the rules that name a pattern by the pattern."""
    everywhere, patterns = 0, dict[str, int]()
    for number, rule in enumerate(rules):
        conditions = [each for each in rule["process_scope"] if each["property"] == "process_path"]
        if not conditions:
            everywhere |= 1 << number
        for condition in conditions:
            for value in condition["any_of"]:
                if value["operator"] == "matches":
                    patterns[value["value"]] = patterns.get(value["value"], 0) | 1 << number
    return everywhere, patterns


def _numbers(rules: int) -> list[int]:
    found = []
    while rules:
        low = rules & -rules
        found.append(low.bit_length() - 1)
        rules ^= low
    return found
