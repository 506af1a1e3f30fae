"""Compare a document with a saved version on the stored events of a period, for tasks and the command line."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from accounts.models import User
from drift.backtest.domain.event_keys import KeySpace, Numbering
from drift.backtest.domain.result import Result
from drift.backtest.domain.transitions import TransitionTable, Value, rule_names
from drift.backtest.queries import stored_events as stored
from drift.backtest.queries.summary import summarise
from sensor.policy import ValueRange

MAX_KEYS: Final = 200_000
"""Up to this many combinations are all decided in advance; with more, an extra pass finds those that occur."""
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
) -> Result:
    """Compare two normalised documents on the events observed from `first_day` until `until`.

    Counts the events of the workloads that `viewer` sees; None: all, for the command line of the portal's host.
    Calls `report` in between; raises Cancelled when it returns False. Memory grows with the number of workloads,
    files and pairs of rules, not of events.
    """
    table = TransitionTable(before, after)
    with stored.snapshot():
        comparison = Comparison(table, first_day, until, report, viewer=viewer)
        counting = comparison.classify()
        comparison.count(counting)
        return summarise(table.transitions, rule_names(before, after), comparison.workloads)


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
    ) -> None:
        self.workloads = 0
        self._by_day = by_day
        self._viewer = viewer
        self._table, self._first_day, self._until, self._report = table, first_day, until, report
        days = [first_day + dt.timedelta(days=n) for n in range((until.date() - first_day).days + 1)]
        self._chunks = stored.chunks(days)

    def classify(self) -> stored.EventCounter:
        """Reduce everything to classes, and decide each combination of them."""
        pod_names: dict[int, stored.PodNames] = {}
        for days in self.through(0, PODS):
            if self._table.needs_pods:
                stored.add_pod_names(pod_names, days)
        files, parents, provenances = self._classify_files(), self._classify_parents(), self._classify_provenances()
        placed, outlooks, values = self._classify_workloads(pod_names)
        pods = self._classify_pods(values)
        space = KeySpace(outlooks.keys, files.keys, parents.keys, provenances.keys, pods.keys)
        strides = space.strides()
        stored.copy_rows("backtest_workload", ((pk, *strides[number]) for pk, number in placed))
        stored.analyze("backtest_workload")
        counting = stored.EventCounter(
            self._until,
            parents=len(parents.keys) > 1,
            provenances=len(provenances.keys) > 1,
            pods=len(pods.keys) > 1,
            by_day=self._by_day,
        )
        self._decide(space, counting)
        return counting

    def count(self, counting: stored.EventCounter) -> None:
        """Count the events by transition."""
        for days in self.through(DECIDED, COUNTED):
            counting.add_found(days)
        self._check(COUNTED)

    def _classify_files(self) -> Numbering:
        classes = Numbering()
        for batch in stored.files(self._first_day):
            self._check(PODS)
            rows = ((pk, classes.number(self._table.file_class(facts))) for pk, facts in batch)
            stored.copy_rows("backtest_file", rows)
        stored.analyze("backtest_file")
        return classes

    def _classify_parents(self) -> Numbering:
        """Class 0 holds the values that no rule mentions: they have no rows, like the pods of class 0."""
        classes = Numbering(self._table.passing("parent_process", None))
        self._store_classes("parent", classes, self._table.parents)
        stored.analyze("backtest_parent")
        return classes

    def _classify_provenances(self) -> Numbering:
        """Class 0 holds those of which no condition holds, and the events that have none: they have no rows."""
        classes = Numbering(self._table.provenance({}))
        if self._table.needs_provenances:
            for batch in stored.provenances(self._first_day):
                self._check(PODS)
                numbered = ((pk, classes.number(self._table.provenance(facts))) for pk, facts in batch)
                stored.copy_rows("backtest_provenance", (row for row in numbered if row[1]))
        stored.analyze("backtest_provenance")
        return classes

    def _classify_workloads(
        self, pod_names: Mapping[int, stored.PodNames]
    ) -> tuple[list[tuple[int, int]], Numbering, set[Value]]:
        """Return workloads with their outlook's number, the outlooks, and the values that decide undecided pods."""
        classes, placed, open_rules = Numbering(), [], 0
        for batch in stored.workloads(self._first_day, self._viewer):
            self._check(PODS)
            opened = []
            for pk, facts in batch:
                names = pod_names.get(pk)
                outlook = self._table.outlook(facts, ValueRange.between(*names) if names else None)
                if outlook.open_pods and names is None:
                    continue  # it has no events in the period
                placed.append((pk, classes.number(outlook)))
                if outlook.open_pods:
                    opened.append((pk,))
                    open_rules |= outlook.open_pods
            stored.copy_rows("backtest_open", opened)
            self.workloads += len(batch)
        return placed, classes, set(self._table.pod_values(open_rules))

    def _classify_pods(self, values: set[Value]) -> Numbering:
        classes = Numbering(self._table.passing("pod_name", None))
        if values:
            stored.analyze("backtest_open")
            for days in self.through(PODS, SORTED):
                for names in stored.pod_names(days, values):
                    self._check(PODS)
                    self._store_classes("pod", classes, names)
            stored.merge_pods()
        return classes

    def _store_classes(self, name: str, classes: Numbering, values: Iterable[str]) -> None:
        numbered = ((value, classes.number(self._table.passing(stored.PROPERTIES[name], value))) for value in values)
        stored.copy_rows(f"backtest_{name}", (row for row in numbered if row[1]))

    def _decide(self, space: KeySpace, counting: stored.EventCounter) -> None:
        if len(space) <= MAX_KEYS:
            self._check(SORTED)
            self._store_decisions(enumerate(space.transition_numbers(self._table)))
        else:
            for days in self.through(SORTED, DECIDED):
                counting.add_keys(days)
            for batch in stored.found_keys():
                self._check(DECIDED)
                self._store_decisions((key, space.transition_number(self._table, key)) for key in batch)
        stored.analyze("backtest_decision")

    def _store_decisions(self, decided: Iterable[tuple[int, int]]) -> None:
        transitions = self._table.transitions
        stored.copy_rows(
            "backtest_decision", ((key, number, any(transitions[number].levels)) for key, number in decided)
        )

    def through(self, start: int, end: int) -> Iterator[stored.Days]:
        """Yield the chunks of days; report the progress from `start` to `end` in proportion to their sizes."""
        whole, done = sum(size for _, size in self._chunks) or 1, 0
        for days, size in self._chunks:
            self._check(start + (end - start) * done // whole)
            yield days
            done += size

    def _check(self, progress: int) -> None:
        """Report the progress. Raises Cancelled."""
        if not self._report(progress):
            raise Cancelled
