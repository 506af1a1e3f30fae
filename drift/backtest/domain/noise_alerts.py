"""The alerts of a period: each fingerprint's days, and what removes it on which of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from drift.backtest.domain.noise_cells import Cell
from drift.backtest.domain.noise_evidence import NoiseEstate, NoisePlace, Refusal


class AlertDays(NamedTuple):
    """One fingerprint's alerts: its `days` as bits, those on which one of its rows is `refused`, and its rows.

    `cells` are the numbers of its rows' cells, each with the row's days; `places` are the rows.
    """

    fingerprint: int
    days: int
    refused: int
    cells: list[tuple[int, int]]
    places: list[int]


def alert_days(
    estate: NoiseEstate, cells: Sequence[Cell], refusals: Sequence[Refusal | None], place: NoisePlace
) -> list[AlertDays]:
    """Return the alerts in a place."""
    inside = {pk for pk, workload in estate.workloads.items() if place.holds(workload)}
    found: dict[int, AlertDays] = {}
    for number, cell in enumerate(estate.paced(cells)):
        if cell.row.workload in inside:
            is_refused = refusals[number] is not None
            for each in cell.places:
                row = estate.rows[each]
                key, own = row.fingerprint.int, row.days
                alert = found.get(key)
                if alert is None:
                    found[key] = AlertDays(key, own, own if is_refused else 0, [(number, own)], [each])
                else:
                    alert.cells.append((number, own))
                    alert.places.append(each)
                    refused = alert.refused | own if is_refused else alert.refused
                    found[key] = AlertDays(key, alert.days | own, refused, alert.cells, alert.places)
    return list(found.values())


def alerts_by_rule(
    estate: NoiseEstate, alerts: Sequence[AlertDays], places: Sequence[Sequence[int]]
) -> list[dict[int, int]]:
    """Return, for each rule, the alerts that are gone by it: days by fingerprint, given the rows that it ignores.

    An alert is gone once each of its rows is ignored, and counts for the last rule that it needs.
    """
    first: dict[int, int] = {}
    for rule, rows in enumerate(places):
        for place in rows:
            first.setdefault(place, rule)
    found: list[dict[int, int]] = [{} for _ in places]
    for alert in estate.paced(alerts):
        if first.keys().isdisjoint(alert.places):
            continue
        by_rule: defaultdict[int, int] = defaultdict(int)
        left = alert.days
        for place in alert.places:
            rule_number = first.get(place)
            if rule_number is None:
                left &= ~estate.rows[place].days
            else:
                by_rule[rule_number] |= estate.rows[place].days
        for rule_number in sorted(by_rule, reverse=True):
            days = by_rule[rule_number] & left
            if days:
                found[rule_number][alert.fingerprint] = days
                left &= ~days
    return found
