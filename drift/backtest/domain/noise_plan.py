"""A noise budget's plan: the smallest set of rules that keeps it, with what each removes and hides.

Deterministic: equal evidence gives the same plan, ids of rules included.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from drift.backtest.domain.noise_alerts import AlertDays, alert_days, alerts_by_rule
from drift.backtest.domain.noise_candidates import MAX_WIDTHS, Candidate, Candidates
from drift.backtest.domain.noise_cells import Cell, Contents, noise_cells
from drift.backtest.domain.noise_cover import Atoms, CoverProblem, packed_days
from drift.backtest.domain.noise_evidence import (
    EVERY_DAY,
    NoiseBudget,
    NoiseEstate,
    NoiseEvidence,
    Refusal,
    day_numbers,
)
from drift.backtest.domain.noise_matching import Ignored, ignored_cells, ignored_rows
from drift.backtest.domain.noise_refusals import RefusalTable
from drift.backtest.domain.noise_rules import Json, NoiseRules, is_proposable
from drift.backtest.domain.noise_wording import rule_texts
from drift.backtest.domain.noise_workloads import WorkloadSpreads
from drift.backtest.domain.noise_writers import file_writer

EXPIRES_AFTER: Final = dt.timedelta(days=90)
"""A rule's evidence grows old: it is disabled then, and a new plan finds what is still needed."""


@dataclass(frozen=True)
class PlannedRule:
    """A rule of the plan, with the places of the rows that it ignores and the alerts that are gone by it.

    `alerts` are the days, as bits, by fingerprint, of the alerts that no rule before it removes.
    """

    rule: Json
    places: list[int]
    alerts: dict[int, int]
    by_content: bool

    @property
    def alert_count(self) -> int:
        """How many alerts of a day it removes."""
        return sum(days.bit_count() for days in self.alerts.values())


@dataclass(frozen=True)
class NoisePlan:
    """What a budget came to. `before`, `after` and `refused` count the place's alerts of each day.

    `refusals` has the refusal of each of the estate's rows, None where it may be absorbed.
    """

    document: Json
    rules: list[PlannedRule]
    refusals: list[Refusal | None]
    before: list[int]
    after: list[int]
    refused: list[int]
    reached: bool
    at_least: int
    considered: int

    @property
    def totals(self) -> tuple[int, int]:
        """The place's alerts of a day, in all: before and after."""
        return sum(self.before), sum(self.after)


def plan(estate: NoiseEstate, document: Mapping[str, Any], budget: NoiseBudget) -> NoisePlan:
    """Return the plan for the estate's evidence under a policy, whose decisions the evidence has."""
    contents = Contents(estate)
    writers = {pk: file_writer(facts) for pk, facts in estate.provenances.items()}
    workloads = WorkloadSpreads(estate, writers)
    cells = noise_cells(estate, contents, workloads)
    judged = RefusalTable(estate, cells, contents, workloads, writers, changing=budget.changing).judged()
    expires = (estate.until + EXPIRES_AFTER).replace(microsecond=0, second=0)
    rules = NoiseRules(estate, cells, f"{expires:%Y-%m-%dT%H:%M:%SZ}")
    candidates = Candidates(estate, cells, judged, workloads, place=budget.place, rules=rules)
    found = candidates.found()
    refusals = [None if number in candidates.taken_strays else each for number, each in enumerate(judged.refusals)]
    while True:
        stay = _with_uncovered(refusals, found)
        alerts = alert_days(estate, cells, stay, budget.place)
        before = _counts((alert.days for alert in alerts), estate.days)
        refused = _counts((alert.refused for alert in alerts), estate.days)
        needed = needs(before, refused, budget)
        chosen, at_least, considered = _chosen(estate, alerts, len(cells), found, needed, budget=budget)
        unfit = {each.rule["id"] for each in chosen if not is_proposable(each.rule)}
        if not unfit:
            break
        found = [each for each in found if each.rule["id"] not in unfit]
    is_open = [is_open or number in candidates.taken_strays for number, is_open in enumerate(candidates.is_open)]
    narrowed = _narrowed(estate, cells, is_open, chosen, rules)
    planned = _planned(estate, cells, narrowed, alerts, document)
    gone = _counts((days for rule in planned for days in rule.alerts.values()), estate.days)
    after = [count - less for count, less in zip(before, gone, strict=True)]
    return NoisePlan(
        document=_inserted(estate, document, planned),
        rules=planned,
        refusals=_by_row(estate, cells, stay),
        before=before,
        after=after,
        refused=refused,
        reached=is_kept(after, budget),
        at_least=at_least,
        considered=considered,
    )


def _counts(alerts: Iterable[int], days: int) -> list[int]:
    """Return how many of the alerts, given by their days as bits, each day has."""
    found = [0] * days
    for each, count in Counter(alerts).items():
        for day in day_numbers(each):
            found[day] += count
    return found


def _by_row(estate: NoiseEstate, cells: Sequence[Cell], refusals: Sequence[Refusal | None]) -> list[Refusal | None]:
    found: list[Refusal | None] = [None] * len(estate.rows)
    for cell, refusal in zip(cells, refusals, strict=True):
        for place in cell.places:
            found[place] = refusal
    return found


def _chosen(
    estate: NoiseEstate,
    alerts: Sequence[AlertDays],
    cells: int,
    found: Sequence[Candidate],
    needed: Sequence[int],
    *,
    budget: NoiseBudget,
) -> tuple[list[Candidate], int, int]:
    """Return the smallest choice of narrow rules, or of wider ones where MAX_CHANGES of those are not enough.

    Also at least how many of the rules weighed are needed, and how many were weighed.
    """
    results = []
    for reach in MAX_WIDTHS:
        narrow = [each for each in found if each.reach <= reach]
        atoms = _atoms(alerts, cells, narrow, one_day=budget.measure != EVERY_DAY)
        problem = CoverProblem(atoms, needed, [each.width for each in narrow], estate.proceed)
        cover = problem.solve()
        results.append((sum(problem.remaining(cover.chosen)), narrow, cover))
        if cover.reached:
            break
    # Where no choice keeps the budget, a wider one has to remove one alert a day more.
    least = min(rest for rest, _, _ in results)
    _, narrow, cover = next(each for each in results if each[0] <= (least and least + len(needed)))
    return [narrow[number] for number in cover.chosen], cover.at_least, len(narrow)


def is_kept(counts: Sequence[int], budget: NoiseBudget) -> bool:
    """Return whether these alerts of each day keep the budget."""
    if budget.measure == EVERY_DAY:
        return all(count <= budget.alerts for count in counts)
    return sum(counts) <= budget.alerts * len(counts)


def needs(before: Sequence[int], refused: Sequence[int], budget: NoiseBudget) -> list[int]:
    """Return how many alerts have to go on each day, or in all where the budget is an average.

    Where the refused ones alone are more than the budget, it can't be kept: the others are brought down to it there.
    """
    if budget.measure != EVERY_DAY:
        return [_need(sum(before), sum(refused), budget.alerts * len(before))]
    return [_need(count, kept, budget.alerts) for count, kept in zip(before, refused, strict=True)]


def _need(count: int, kept: int, most: int) -> int:
    return max(0, count - (most if kept <= most else kept + most))


def _with_uncovered(refusals: Sequence[Refusal | None], found: Sequence[Candidate]) -> list[Refusal | None]:
    """Return the refusals, with those of cells for which there is no rule."""
    covered = {number for each in found for number in each.cells}
    return [
        Refusal.NO_RULE if refusal is None and number not in covered else refusal
        for number, refusal in enumerate(refusals)
    ]


def _atoms(alerts: Iterable[AlertDays], cells: int, found: Sequence[Candidate], *, one_day: bool) -> Atoms:
    """Return the alerts that may go, by the rules that ignore each of their rows."""
    sets = [0] * cells
    for number, candidate in enumerate(found):
        for cell in candidate.cells:
            sets[cell] |= 1 << number
    days_of: defaultdict[tuple[int, ...], Counter[int]] = defaultdict(Counter)
    for alert in alerts:
        days = alert.days & ~alert.refused
        if days:
            needed = {sets[cell] for cell, seen in alert.cells if seen & days}
            if len(needed) == 1:
                days_of[tuple(needed)][days] += 1
                continue
            for day in day_numbers(days):
                each = {sets[cell] for cell, seen in alert.cells if seen >> day & 1}
                days_of[tuple(sorted(each))][1 << day] += 1
    return {
        needed: sum((days.bit_count() if one_day else packed_days(days)) * count for days, count in counts.items())
        for needed, counts in sorted(days_of.items())
    }


def _narrowed(
    estate: NoiseEstate,
    cells: Sequence[Cell],
    is_open: Sequence[bool],
    chosen: Sequence[Candidate],
    rules: NoiseRules,
) -> list[tuple[Candidate, Ignored]]:
    """Return the rules made anew of what only they remove, where all together still remove as much.

    With each is what it ignores.
    """
    narrow = _remade(chosen, rules)
    if narrow is not None:
        matched = ignored_cells(estate, cells, [each.rule for each in narrow])
        now = {number for ignored in matched for number in ignored.whole}
        # They can hardly ignore less or more than before; where they do, what was compared with every cell counts.
        if now == frozenset[int]().union(*(each.cells for each in chosen)) and all(
            is_open[number] for ignored in matched for number in ignored.partly
        ):
            return list(zip(narrow, matched, strict=True))
    return list(zip(chosen, ignored_cells(estate, cells, [each.rule for each in chosen]), strict=True))


def _remade(chosen: Sequence[Candidate], rules: NoiseRules) -> list[Candidate] | None:
    """Return each rule made anew of the cells that none before it ignores; None if one of them can't be proposed."""
    taken: set[int] = set()
    narrow: list[Candidate] = []
    for candidate in chosen:
        own = sorted(candidate.cells - taken)
        rule = rules.rule(own, by_content=candidate.by_content) if own else None
        if rule is None or not is_proposable(rule):
            return None
        narrow.append(Candidate(rule, frozenset(own), candidate.width, candidate.by_content))
        taken |= candidate.cells
    return narrow


def _planned(
    estate: NoiseEstate,
    cells: Sequence[Cell],
    chosen: Sequence[tuple[Candidate, Ignored]],
    alerts: Sequence[AlertDays],
    document: Mapping[str, Any],
) -> list[PlannedRule]:
    """Return the rules with what each removes, and with their texts."""
    places = [ignored_rows(estate, cells, each.rule, ignored) for each, ignored in chosen]
    removed = alerts_by_rule(estate, alerts, places)
    taken = {rule["name"].casefold() for rule in document["rules"]}
    found = []
    for (candidate, ignored), rows, gone in zip(chosen, places, removed, strict=True):
        counted = sum(days.bit_count() for days in gone.values())
        touched = [cells[number] for number in (*ignored.whole, *ignored.partly)]
        rule = rule_texts(estate, touched, candidate.rule, counted, taken, by_content=candidate.by_content)
        found.append(PlannedRule(rule, rows, gone, candidate.by_content))
    return found


def _inserted(estate: NoiseEstate, document: Mapping[str, Any], rules: Iterable[PlannedRule]) -> Json:
    """Return the document with each rule directly above the first of those that decide its events now."""
    order = [rule["id"] for rule in document["rules"]]
    last = len(order)
    new: defaultdict[int, list[Json]] = defaultdict(list)
    for planned in rules:
        deciding = {estate.rows[place].rule for place in planned.places}
        new[min((order.index(each) if each in order else last for each in deciding), default=last)].append(planned.rule)
    placed: list[Json] = []
    for position, rule in enumerate(document["rules"]):
        placed += [*new[position], rule]
    return {**document, "rules": [*placed, *new[last]]}


def examples(estate: NoiseEstate, places: Iterable[int], most: int) -> list[NoiseEvidence]:
    """Return rows to show, those of the most days first, of files each once."""
    rows = sorted(
        (estate.rows[place] for place in places),
        key=lambda row: (-row.days.bit_count(), -row.execs, estate.files[row.file].path, row.fingerprint),
    )
    first: dict[tuple[str, int], NoiseEvidence] = {}
    for row in rows:
        first.setdefault((estate.files[row.file].path, row.workload), row)
    return list(first.values())[:most]
