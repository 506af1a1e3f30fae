"""One document against the stored events of a period: the whole computation, for tasks and the command line."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from typing import Any, Final

from drift.backtest import stored
from drift.backtest.result import Result, summarise
from drift.backtest.verdicts import MOST_REMEMBERED, Judge, Tally, WorkloadClass, rule_names

WORKLOADS_SHARE: Final = 10
"""Percent of the progress bar that sorting the workloads takes; the days share the rest."""

Report = Callable[[int], bool]
"""Told the percent done; whether to go on."""


class Cancelled(Exception):
    """Whoever waits for the result no longer wants it."""


def run(
    before: Mapping[str, Any], after: Mapping[str, Any], first_day: dt.date, until: dt.datetime, report: Report
) -> Result:
    """Compare two normalised documents on the events observed from `first_day` until `until`.

    A day at a time: `report` is asked in between. Raises Cancelled where it says no. Memory is bounded by the
    number of workloads and of pairs of rules, not by that of events.
    """
    days = [first_day + dt.timedelta(days=n) for n in range((until.date() - first_day).days + 1)]
    with stored.tables():
        judge = Judge(before, after, stored.kinds_seen())
        comparison = _Comparison(
            judge, stored.sort_workloads(judge, first_day), stored.parents_asked(before, after), until
        )
        for done, day in enumerate(days):
            if not report(WORKLOADS_SHARE + (100 - WORKLOADS_SHARE) * done // len(days)):
                raise Cancelled
            comparison.add_day(day)
        return summarise(comparison.tally, judge.transitions, rule_names(before, after), stored.count_workloads())


class _Comparison:
    """A day after the other, counted."""

    def __init__(self, judge: Judge, classes: list[WorkloadClass], parents: list[str], until: dt.datetime) -> None:
        self.tally = Tally()
        self._judge, self._classes, self._parents, self._until = judge, classes, parents, until
        self._known: dict[tuple[int, int, str, str], int] = {}
        self._files = stored.Files()

    def add_day(self, day: dt.date) -> None:
        """Decide the day's groups by both policies, then gather the alerts among them."""
        found = False
        for batch in stored.groups(day, self._until, self._parents):
            self._files.load({group.file for group in batch})
            alerting = [each for each in map(self._count, batch) if any(each[2])]
            if alerting:
                stored.keep_alerting(alerting)
                found = True
        if found:
            stored.add_alerts(day, self._until, self._parents)

    def _count(self, group: stored.Group) -> tuple[stored.Group, int, tuple[int, int]]:
        key = group[:4]
        number = self._known.get(key)
        if number is None:
            if len(self._known) >= MOST_REMEMBERED:
                self._known.clear()
            number = self._judge.number(self._classes[group.number], self._files.facts(group))
            self._known[key] = number
        self.tally.add(number, group.events, group.execs)
        return group, number, self._judge.transitions[number].levels
