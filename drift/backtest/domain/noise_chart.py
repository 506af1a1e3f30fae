"""A noise budget's figures and bars for its page."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

HEIGHT: Final = 100
"""Of the tallest bar."""
STEP: Final = 10
"""From one bar to the next; each is two units narrower."""
LEAST_DAYS: Final = 14
"""The chart has room for so many days: a single day's bar is as wide as one of a fortnight."""


class NoiseDay(NamedTuple):
    """One day: its alerts before and after, those refused, and its bars as the page draws them."""

    day: dt.date
    before: int
    after: int
    refused: int
    x: int
    before_height: int
    before_y: int
    after_height: int
    after_y: int


class NoiseFigures(NamedTuple):
    """Alerts a day on average and at most, and on how many days the refused ones alone exceed the budget."""

    before: float
    after: float
    most_before: int
    most_after: int
    refused: float
    hopeless_days: int


def noise_figures(result: Mapping[str, Any], budget: int) -> NoiseFigures:
    """Return the figures of a NoiseResult."""
    days = result["days"] or 1
    return NoiseFigures(
        sum(result["before"]) / days,
        sum(result["after"]) / days,
        max(result["before"], default=0),
        max(result["after"], default=0),
        sum(result["refused_days"]) / days,
        sum(count > budget for count in result["refused_days"]),
    )


def noise_bars(result: Mapping[str, Any], budget: int) -> dict[str, Any]:
    """Return the bars of a NoiseResult's days, and the line of the budget."""
    most = max([*result["before"], budget, 1])
    first = dt.date.fromisoformat(result["first_day"])
    days = []
    for number, (before, after, refused) in enumerate(
        zip(result["before"], result["after"], result["refused_days"], strict=True)
    ):
        tall, small = _height(before, most), _height(after, most)
        day = first + dt.timedelta(days=number)
        days.append(NoiseDay(day, before, after, refused, number * STEP, tall, HEIGHT - tall, small, HEIGHT - small))
    return {"days": days, "width": max(len(days), LEAST_DAYS) * STEP, "line": HEIGHT - _height(budget, most)}


def _height(count: int, most: int) -> int:
    """Return the bar's height; a single alert is seen."""
    return max(1, round(HEIGHT * count / most)) if count else 0
