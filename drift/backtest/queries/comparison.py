"""Compare a document with a saved version on the stored events of a period, for tasks and the command line."""

from __future__ import annotations

import datetime as dt
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import zip_longest
from typing import Any, Final

from accounts.models import User
from drift.backtest.domain.event_keys import DenseKeys, Numbering, Parts, SparseKeys, TooManyKeys
from drift.backtest.domain.result import Result
from drift.backtest.domain.transitions import FileClass, TransitionTable, Value, rule_names
from drift.backtest.queries import stored_events as stored
from drift.backtest.queries.event_counts import PART_COLUMNS, ClassNumbers, EventCounter, found_keys
from drift.backtest.queries.summary import MAX_TRANSITIONS, summarise
from sensor.policy import PairResidual, ValueRange

MAX_KEYS: Final = 200_000
MAX_SUMMANDS: Final = 500_000
"""Up to so many keys, and numbers that add up to them, are all worked out in advance; with more, an extra pass finds
the keys that occur."""
PODS, SORTED, DECIDED, COUNTED = 25, 40, 60, 95
"""The progress in percent at which each step ends."""

Report = Callable[[int], bool]
"""Takes the percent done, returns whether to continue."""


class Cancelled(Exception):
    """The run was cancelled."""


def compare(
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    first_day: dt.date,
    until: dt.datetime,
    report: Report,
    *,
    viewer: User | None = None,
    max_transitions: int | None = MAX_TRANSITIONS,
) -> Result:
    """Compare two normalised documents on the events observed from `first_day` until `until`.

    Counts the events of the workloads that `viewer` sees; None: all, for the command line of the portal's host.
    With None in `max_transitions` the result has all of them, for what is counted from them. Calls `report` in between;
    raises Cancelled when it returns False. Memory grows with the number of workloads, files and pairs of rules, not of
    events.
    """
    table = TransitionTable(before, after)
    with stored.snapshot():
        comparison = Comparison(table, first_day, until, report, viewer=viewer)
        counting = comparison.classify()
        comparison.count(counting)
        return summarise(table.transitions, rule_names(before, after), comparison.workloads, max_transitions)


class Comparison:
    """First everything that events refer to is reduced to classes, then the events are counted."""

    def __init__(
        self,
        table: TransitionTable,
        first_day: dt.date,
        until: dt.datetime,
        report: Report,
        *,
        viewer: User | None,
        by_day: bool = False,
        files: stored.RememberedFiles | None = None,
    ) -> None:
        self.workloads = self._progress = 0
        self._days_from = first_day if by_day else None
        self._viewer = viewer
        self._files = files.batches if files else partial(stored.files, first_day)
        self._table, self._first_day, self._until, self._report = table, first_day, until, report
        days = [first_day + dt.timedelta(days=n) for n in range((until.date() - first_day).days + 1)]
        self._chunks = stored.chunks(days)

    def classify(self) -> EventCounter:
        """Reduce everything to classes, and decide each combination of them."""
        self._check()
        (files, file_classes), (parents, parent_classes) = self._classify_files(), self._classify_parents()
        provenances, provenance_classes = self._classify_provenances()
        placed, outlooks, values = self._classify_workloads()
        pod_classes = self._classify_pods(values)
        numbers: dict[str, ClassNumbers | None] = {"file": files}
        # Class 0 needs no rows: where there is no other, the part makes no difference.
        if len(parent_classes) > 1:
            numbers["parent"] = parents
        if len(provenance_classes) > 1:
            numbers["provenance"] = provenances
        if len(pod_classes) > 1:
            numbers["pod"] = None
        return self._decide(
            placed, outlooks, Parts(file_classes, parent_classes, provenance_classes, pod_classes), numbers
        )

    def count(self, counting: EventCounter, beside: Callable[[], object] = bool) -> None:
        """Count the events by transition; `beside` is called while PostgreSQL does, once for each chunk."""
        for days in self.through(DECIDED, COUNTED):
            counting.add_found(days, beside)
        self._check(COUNTED)

    def _classify_files(self) -> tuple[ClassNumbers, list[FileClass]]:
        classes, numbers = Numbering(), ClassNumbers(array("q"))
        for batch in self._files():
            self._check()
            for pk, _, facts in batch:
                numbers.add(pk, classes.number(self._table.file_class(facts)))
        return numbers, classes.keys

    def _classify_parents(self) -> tuple[ClassNumbers, list[int]]:
        """Class 0 holds the values that no rule mentions: they have no rows, like the pods of class 0."""
        classes, numbers = Numbering(self._table.passing("parent_process", None)), ClassNumbers([])
        for name in self._table.parents:
            if number := classes.number(self._table.passing("parent_process", name)):
                numbers.add(name, number)
        return numbers, classes.keys

    def _classify_provenances(self) -> tuple[ClassNumbers, list[int]]:
        """Class 0 holds those of which no condition holds, and the events that have none: they have no rows."""
        classes, numbers = Numbering(self._table.provenance({})), ClassNumbers(array("q"))
        if self._table.needs_provenances:
            for batch in stored.provenances(self._first_day):
                self._check()
                for pk, facts in batch:
                    if number := classes.number(self._table.provenance(facts)):
                        numbers.add(pk, number)
        return numbers, classes.keys

    def _classify_workloads(self) -> tuple[list[tuple[int, int]], list[PairResidual], set[Value]]:
        """Return workloads with their outlook's number, the outlooks, and the values that decide undecided pods."""
        sorted_out, candidates, pod_names = self._sort_workloads()
        classes, placed, opened, open_rules = Numbering(), [], [], 0
        for place, (pk, number) in enumerate(sorted_out):
            if not place % stored.BATCH:
                self._check(PODS)
            names = pod_names.get(pk)
            outlook = self._table.outlook(candidates[number], ValueRange.between(*names) if names else None)
            if outlook.open_pods and names is None:
                continue  # it has no events in the period
            placed.append((pk, classes.number(outlook)))
            if outlook.open_pods:
                opened.append((pk,))
                open_rules |= outlook.open_pods
        if opened:
            stored.copy_rows("backtest_open", opened)
        return placed, classes.keys, set(self._table.pod_values(open_rules))

    def _sort_workloads(self) -> tuple[list[tuple[int, int]], list[int], dict[int, stored.PodNames]]:
        """Return workloads with the number of their candidates, the candidates, and the names of their pods.

        PostgreSQL looks for the names meanwhile: neither waits for the other.
        """
        classes, found, names = Numbering(), list[tuple[int, int]](), dict[int, stored.PodNames]()
        chunks = self.through(0, PODS) if self._table.needs_pods else ()
        for days, batch in zip_longest(chunks, stored.workloads(self._first_day, self._viewer)):

            def sort(batch: stored.StoredWorkloads = batch or []) -> None:
                found.extend((pk, classes.number(self._table.candidates(facts))) for pk, facts in batch)

            if days:
                stored.add_pod_names(names, days, sort)
            else:
                sort()
            self._check()
        self.workloads = len(found)
        return found, classes.keys, names

    def _classify_pods(self, values: set[Value]) -> list[int]:
        classes = Numbering(self._table.passing("pod_name", None))
        if values:
            stored.analyze("backtest_open")
            for days in self.through(PODS, SORTED):
                for names in stored.pod_names(days, values):
                    self._check()
                    numbered = ((name, classes.number(self._table.passing("pod_name", name))) for name in names)
                    stored.copy_rows("backtest_pod", (row for row in numbered if row[1]))
            stored.merge_pods()
        return classes.keys

    def _decide(
        self,
        placed: Sequence[tuple[int, int]],
        outlooks: Sequence[PairResidual],
        parts: Parts,
        numbers: Mapping[str, ClassNumbers | None],
    ) -> EventCounter:
        """Return what counts the events, given each workload's outlook and the numbers of the parts that matter."""
        self._check(SORTED)
        try:
            dense = DenseKeys(outlooks, parts, self._table, max_keys=MAX_KEYS, max_summands=MAX_SUMMANDS)
        except TooManyKeys:
            return self._decide_found(placed, SparseKeys(outlooks, parts), numbers)
        workloads = [(pk, dense.placings[number]) for pk, number in placed]
        arrays = dict(zip(PART_COLUMNS, dense.summands, strict=True)), [self._code(each) for each in dense.transitions]
        return EventCounter(self._until, workloads, numbers, arrays, days_from=self._days_from)

    def _decide_found(
        self, placed: Sequence[tuple[int, int]], keys: SparseKeys, numbers: Mapping[str, ClassNumbers | None]
    ) -> EventCounter:
        placings = keys.placings
        workloads = [(pk, placings[number]) for pk, number in placed]
        counting = EventCounter(self._until, workloads, numbers, None, days_from=self._days_from)
        for days in self.through(SORTED, DECIDED):
            counting.add_keys(days)
        for batch in found_keys():
            self._check(DECIDED)
            decided = ((key, self._code(keys.transition_number(self._table, key))) for key in batch)
            stored.copy_rows("backtest_decision", decided)
        stored.analyze("backtest_decision")
        return counting

    def _code(self, transition: int) -> int:
        return 2 * transition + any(self._table.transitions[transition].levels)

    def through(self, start: int, end: int) -> Iterator[stored.Days]:
        """Yield the chunks of days; report the progress from `start` to `end` in proportion to their sizes."""
        whole, done = sum(size for _, size in self._chunks) or 1, 0
        for days, size in self._chunks:
            self._check(start + (end - start) * done // whole)
            yield days
            done += size

    def _check(self, progress: int = 0) -> None:
        """Report the progress, never less than before. Raises Cancelled."""
        self._progress = max(self._progress, progress)
        if not self._report(self._progress):
            raise Cancelled
