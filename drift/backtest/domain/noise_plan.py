"""A noise budget's plan: the smallest set of rules that keeps it, with what each removes and hides.

Deterministic: equal evidence gives the same plan, ids of rules included.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from drift.backtest.domain.noise_candidates import MAX_WIDTHS, Candidate, candidates, ignored_rows
from drift.backtest.domain.noise_cover import CoverProblem, packed
from drift.backtest.domain.noise_evidence import (
    EVERY_DAY,
    NoiseBudget,
    NoiseEstate,
    NoiseEvidence,
    Refusal,
    day_numbers,
)
from drift.backtest.domain.noise_refusals import RefusalTable
from drift.backtest.domain.noise_rules import Json, noise_rule
from drift.backtest.domain.noise_wording import rule_texts

EXPIRES_AFTER: Final = dt.timedelta(days=90)
"""A rule's evidence grows old: it is disabled then, and a new plan finds what is still needed."""
Alert = tuple[object, int]
"""A fingerprint and a day."""


@dataclass(frozen=True)
class PlannedRule:
    """A rule of the plan, with the places of the rows that it ignores and the alerts that are gone by it.

    `alerts` are those that no rule before it removes.
    """

    rule: Json
    places: list[int]
    alerts: list[Alert]
    by_content: bool


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
    refusals = RefusalTable(estate, changing=budget.changing).refusals()
    expires = (estate.until + EXPIRES_AFTER).replace(microsecond=0, second=0)
    expires_at = f"{expires:%Y-%m-%dT%H:%M:%SZ}"
    found = candidates(estate, refusals, budget, expires_at)
    refusals = _with_uncovered(refusals, found)
    alerts = _alerts(estate, budget)
    before, refused = [0] * estate.days, [0] * estate.days
    for (_, day), places in alerts.items():
        before[day] += 1
        refused[day] += any(refusals[place] is not None for place in places)
    chosen, at_least, considered = _chosen(alerts, found, refusals, needs(before, refused, budget), budget)
    chosen = _narrowed(estate, chosen, expires_at)
    rules = _planned(estate, chosen, alerts, document)
    gone = {alert for rule in rules for alert in rule.alerts}
    after = list(before)
    for _, day in gone:
        after[day] -= 1
    return NoisePlan(
        document=_inserted(estate, document, rules),
        rules=rules,
        refusals=refusals,
        before=before,
        after=after,
        refused=refused,
        reached=is_kept(after, budget),
        at_least=at_least,
        considered=considered,
    )


def _chosen(
    alerts: Mapping[Alert, Sequence[int]],
    found: Sequence[Candidate],
    refusals: Sequence[Refusal | None],
    needed: Sequence[int],
    budget: NoiseBudget,
) -> tuple[list[Candidate], int, int]:
    """Return the smallest choice of narrow rules, or of wider ones where MAX_CHANGES of those are not enough.

    Also at least how many of the rules weighed are needed, and how many were weighed.
    """
    results = []
    for reach in MAX_WIDTHS:
        narrow = [each for each in found if each.reach <= reach]
        atoms = _atoms(alerts, narrow, refusals, one_day=budget.measure != EVERY_DAY)
        problem = CoverProblem(atoms, needed, [each.width for each in narrow])
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
    """Return the refusals, with those of rows for which there is no rule."""
    covered = {place for each in found for place in each.places}
    return [
        Refusal.NO_RULE if refusal is None and place not in covered else refusal
        for place, refusal in enumerate(refusals)
    ]


def _alerts(estate: NoiseEstate, budget: NoiseBudget) -> dict[Alert, list[int]]:
    """Return the place's alerts of each day, with the places of their rows."""
    found: defaultdict[Alert, list[int]] = defaultdict(list)
    for place, row in enumerate(estate.rows):
        if budget.place.holds(estate.workloads[row.workload]):
            for day in day_numbers(row.days):
                found[row.fingerprint, day].append(place)
    return found


def _atoms(
    alerts: Mapping[Alert, Sequence[int]],
    found: Sequence[Candidate],
    refusals: Sequence[Refusal | None],
    *,
    one_day: bool,
) -> dict[tuple[int, ...], int]:
    """Return the alerts that may go, by the rules that ignore each of their rows."""
    sets = [0] * len(refusals)
    for number, candidate in enumerate(found):
        for place in candidate.places:
            sets[place] |= 1 << number
    atoms: Counter[tuple[int, ...]] = Counter()
    for (_, day), places in alerts.items():
        if all(refusals[place] is None for place in places):
            atoms[tuple(sorted({sets[place] for place in places}))] += packed(0 if one_day else day)
    return dict(sorted(atoms.items()))


def _narrowed(estate: NoiseEstate, chosen: Sequence[Candidate], expires_at: str) -> list[Candidate]:
    """Return the rules made anew of what only they remove, where all together still remove as much."""
    taken: set[int] = set()
    narrow: list[Candidate] = []
    for candidate in chosen:
        own = sorted(candidate.places - taken)
        rows = [estate.rows[place] for place in own]
        rule = noise_rule(estate, rows, by_content=candidate.by_content, expires_at=expires_at) if rows else None
        if rule is None:
            return list(chosen)
        narrow.append(Candidate(rule, frozenset(own), candidate.width, candidate.by_content))
        taken |= candidate.places
    matched = [
        Candidate(each.rule, frozenset(places), each.width, each.by_content)
        for each, places in zip(narrow, ignored_rows(estate, [each.rule for each in narrow]), strict=True)
    ]
    allowed = {place for each in chosen for place in each.places}
    now = {place for each in matched for place in each.places}
    # It can hardly ignore less or more than before; where it does, what was compared with every row counts.
    return matched if now == allowed else list(chosen)


def _planned(
    estate: NoiseEstate,
    chosen: Sequence[Candidate],
    alerts: Mapping[Alert, Sequence[int]],
    document: Mapping[str, Any],
) -> list[PlannedRule]:
    """Return the rules with what each removes, and with their texts; an alert counts for the last rule it needs."""
    rules_of: defaultdict[int, list[int]] = defaultdict(list)
    for number, candidate in enumerate(chosen):
        for place in candidate.places:
            rules_of[place].append(number)
    removed: defaultdict[int, list[Alert]] = defaultdict(list)
    for alert, places in alerts.items():
        if all(place in rules_of for place in places):
            removed[max(rules_of[place][0] for place in places)].append(alert)
    taken = {rule["name"].casefold() for rule in document["rules"]}
    found = []
    for number, candidate in enumerate(chosen):
        rows = [estate.rows[place] for place in sorted(candidate.places)]
        rule = rule_texts(estate, rows, candidate.rule, len(removed[number]), taken, by_content=candidate.by_content)
        found.append(PlannedRule(rule, sorted(candidate.places), removed[number], candidate.by_content))
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
