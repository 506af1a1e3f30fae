"""One document against the stored events of a period: the whole computation, for tasks and the command line."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from drift.backtest.domain.policy_pair import KeySpace, Numbering, PolicyPair, Value, rule_names
from drift.backtest.queries import stored_events as stored
from drift.backtest.queries.summary import Result, summarise
from sensor.policy import Span

MOST_KEYS: Final = 200_000
"""Combinations that are decided ahead, whether they occur or not; of more, those that occur are found out first."""
PODS, SORTED, DECIDED, COUNTED = 25, 40, 60, 95
"""Percent of the progress bar that each step reaches."""

Report = Callable[[int], bool]
"""Told the percent done; whether to go on."""


class Cancelled(Exception):
    """Whoever waits for the result no longer wants it."""


def run(
    before: Mapping[str, Any], after: Mapping[str, Any], first_day: dt.date, until: dt.datetime, report: Report
) -> Result:
    """Compare two normalised documents on the events observed from `first_day` until `until`.

    `report` is asked in between. Raises Cancelled where it says no. Memory is bounded by the number of
    workloads, files and pairs of rules, not by that of events.
    """
    judge = PolicyPair(before, after)
    with stored.snapshot():
        comparison = _Comparison(judge, first_day, until, report)
        counting = comparison.sort()
        comparison.count(counting)
        return summarise(judge.transitions, rule_names(before, after), comparison.workloads)


class _Comparison:
    """From events to counts: first what they refer to is brought down to classes, then the events are counted."""

    def __init__(self, judge: PolicyPair, first_day: dt.date, until: dt.datetime, report: Report) -> None:
        self.workloads = 0
        self._judge, self._first_day, self._until, self._report = judge, first_day, until, report
        days = [first_day + dt.timedelta(days=n) for n in range((until.date() - first_day).days + 1)]
        self._chunks = stored.chunks(days)

    def sort(self) -> stored.EventCounter:
        """Decide every combination that may occur, or where these are too many, that does."""
        pod_names: dict[int, stored.PodNames] = {}
        for days in self._through(0, PODS):
            if self._judge.asks_pods:
                stored.add_pod_names(pod_names, days)
        files, parents = self._sort_files(), self._sort_parents()
        placed, outlooks, values = self._sort_workloads(pod_names)
        pods = self._sort_pods(values)
        space = KeySpace(outlooks.keys, files.keys, parents.keys, pods.keys)
        strides = space.strides()
        stored.copy_in("backtest_workload", ((pk, *strides[number]) for pk, number in placed))
        stored.analyse("backtest_workload")
        counting = stored.EventCounter(self._until, parents=len(parents.keys) > 1, pods=len(pods.keys) > 1)
        self._decide(space, counting)
        return counting

    def count(self, counting: stored.EventCounter) -> None:
        """Count the events by what was decided."""
        for days in self._through(DECIDED, COUNTED):
            counting.add_found(days)
        self._go_on(COUNTED)

    def _sort_files(self) -> Numbering:
        classes = Numbering()
        for batch in stored.files(self._first_day):
            self._go_on(PODS)
            rows = ((pk, classes.number(self._judge.file_class(facts))) for pk, facts in batch)
            stored.copy_in("backtest_file", rows)
        stored.analyse("backtest_file")
        return classes

    def _sort_parents(self) -> Numbering:
        """Class 0 is of the values that no rule asks for: they have no rows, nor have pods of class 0."""
        classes = Numbering(self._judge.passing("parent_process", None))
        self._keep_asked("parent", classes, self._judge.parents)
        stored.analyse("backtest_parent")
        return classes

    def _sort_workloads(
        self, pod_names: Mapping[int, stored.PodNames]
    ) -> tuple[list[tuple[int, int]], Numbering, set[Value]]:
        """Workloads with the numbers of their outlooks, and the values that decide about pods which are still open."""
        classes, placed, asked = Numbering(), [], 0
        for batch in stored.workloads(self._first_day):
            self._go_on(PODS)
            opened = []
            for pk, facts in batch:
                names = pod_names.get(pk)
                outlook = self._judge.outlook(facts, Span.of(*names) if names else None)
                if outlook.open_pods and names is None:
                    continue  # nothing of it is in the period
                placed.append((pk, classes.number(outlook)))
                if outlook.open_pods:
                    opened.append((pk,))
                    asked |= outlook.open_pods
            stored.copy_in("backtest_open", opened)
            self.workloads += len(batch)
        return placed, classes, set(self._judge.pod_values(asked))

    def _sort_pods(self, values: set[Value]) -> Numbering:
        classes = Numbering(self._judge.passing("pod_name", None))
        if values:
            stored.analyse("backtest_open")
            for days in self._through(PODS, SORTED):
                for names in stored.pod_names(days, values):
                    self._go_on(PODS)
                    self._keep_asked("pod", classes, names)
            stored.merge_pods()
        return classes

    def _keep_asked(self, name: str, classes: Numbering, values: Iterable[str]) -> None:
        numbered = ((value, classes.number(self._judge.passing(stored.PROPERTIES[name], value))) for value in values)
        stored.copy_in(f"backtest_{name}", (row for row in numbered if row[1]))

    def _decide(self, space: KeySpace, counting: stored.EventCounter) -> None:
        judge = self._judge
        if len(space) <= MOST_KEYS:
            self._go_on(SORTED)
            self._keep_decisions(enumerate(space.numbers(judge)))
        else:
            for days in self._through(SORTED, DECIDED):
                counting.add_keys(days)
            for batch in stored.keys_met():
                self._go_on(DECIDED)
                self._keep_decisions((key, space.number(judge, key)) for key in batch)
        stored.analyse("backtest_decision")

    def _keep_decisions(self, decided: Iterable[tuple[int, int]]) -> None:
        made = self._judge.transitions
        stored.copy_in("backtest_decision", ((key, number, any(made[number].levels)) for key, number in decided))

    def _through(self, start: int, end: int) -> Iterator[stored.Days]:
        """The chunks of days, while the progress bar goes from `start` to `end` by their sizes."""
        whole, done = sum(size for _, size in self._chunks) or 1, 0
        for days, size in self._chunks:
            self._go_on(start + (end - start) * done // whole)
            yield days
            done += size

    def _go_on(self, progress: int) -> None:
        if not self._report(progress):
            raise Cancelled
