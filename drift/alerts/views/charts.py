"""The page of charts; each chart filters when it is clicked and has its table beside it."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from drift.alerts.queries import alert_groups as grouping
from drift.alerts.queries import chart_counts, charts
from drift.alerts.queries import filter_pills as pills
from drift.alerts.queries.filters import Filters
from drift.alerts.views.shared import status_of, user_of

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def charts_page(request: HttpRequest) -> HttpResponse:
    """`days` (7, 30, 90) and `split` (status, cloud, rule) choose what is shown; filters are the list's.

    `all`: count all alerts that match, however long that takes within reason; 429 where that is not the user's turn.
    """
    user, filters = user_of(request), Filters.read(request.GET)
    days = next((days for days in charts.DAYS if request.GET.get("days") == str(days)), charts.DAYS[1])
    split = request.GET.get("split", "")
    split = split if split in charts.SPLITS else "status"
    found = charts.charts(user, filters, days, split, everything="all" in request.GET)
    context: dict[str, Any] = {
        "filters": filters,
        "pills": [pill for pill in pills.pills(filters) if pill.removed and pill.name in filters.values],
        "days": days,
        "all_days": charts.DAYS,
        "split": split,
        "splits": charts.SPLITS,
        "charts": found,
        "newest": chart_counts.NEWEST,
        "seconds": grouping.SECONDS,
        "every": f"?{filters.query}&days={days}&split={split}&all=yes",
        "plot": {
            "days": found.days,
            "series": [{"name": one.name, "query": one.query, "counts": one.counts} for one in found.series],
        },
        "table": _table(found.days, found.series),
        "heat": _heat(found),
        "hours": range(24),
    }
    return render(request, "alerts/charts/page.html", context, status=status_of(found.short))


def _table(stamps: list[int], series: list[charts.Series]) -> list[tuple[dt.datetime, list[int]]]:
    """The days that have alerts, newest first."""
    rows = [
        (dt.datetime.fromtimestamp(stamp, dt.UTC), [one.counts[n] for one in series]) for n, stamp in enumerate(stamps)
    ]
    return [row for row in reversed(rows) if any(row[1])]


def _heat(found: charts.Charts) -> list[tuple[str, list[tuple[int, int, str]]]]:
    """Per weekday each hour's count, its shade of 0 to 4, and the query string of its alerts."""
    most, query = max(max(row) for row in found.heat) or 1, found.filters.query
    return [
        (day, [(n, -(-4 * n // most), f"{query}&hour={weekday}-{hour}") for hour, n in enumerate(row)])
        for weekday, (day, row) in enumerate(zip(WEEKDAYS, found.heat, strict=True), start=1)
    ]
