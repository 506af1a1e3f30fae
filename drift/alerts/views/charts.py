"""The page of charts. Every part of a chart links to its alerts, and each chart has a table."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from drift.alerts.forms.filters import read_filters
from drift.alerts.queries import chart_counts, charts
from drift.alerts.queries.filter_pills import pills
from drift.alerts.queries.query_limits import FULL_SCAN_SECONDS
from drift.web.requests import signed_in_user

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def charts_page(request: HttpRequest) -> HttpResponse:
    """Show the charts of the last `days` (7, 30, 90), split by `split` (status, cloud, rule), with the list's filters.

    With `all`, all matches are counted; 429 where the query limits do not allow it now.
    """
    user, filters = signed_in_user(request), read_filters(request.GET)
    days = next((days for days in charts.DAYS if request.GET.get("days") == str(days)), charts.DAYS[1])
    split = request.GET.get("split", "")
    split = split if split in charts.SPLITS else "status"
    found = charts.charts(user, filters, days, split, everything="all" in request.GET)
    context: dict[str, Any] = {
        "filters": filters,
        "pills": [pill for pill in pills(user, filters) if pill.removed and pill.name in filters.values],
        "days": days,
        "all_days": charts.DAYS,
        "split": split,
        "splits": charts.SPLITS,
        "charts": found,
        "newest": chart_counts.NEWEST,
        "seconds": FULL_SCAN_SECONDS,
        "every": f"?{filters.query}&days={days}&split={split}&all=yes",
        "plot": {
            "days": found.days,
            "series": [
                {"name": one.name, "query": one.query, "counts": one.counts, "colour": one.colour}
                for one in found.series
            ],
        },
        "table": _day_table(found.days, found.series),
        "heat": _heat_table(found),
        "hours": range(24),
    }
    status = 429 if found.limit and found.limit.is_busy else 200
    return render(request, "alerts/charts/page.html", context, status=status)


def _day_table(stamps: list[int], series: list[charts.ChartSeries]) -> list[tuple[dt.datetime, list[tuple[int, str]]]]:
    """Return the days that have alerts, newest first, each with the count of each series and its alerts' query."""
    days = [dt.datetime.fromtimestamp(stamp, dt.UTC) for stamp in stamps]
    rows = [(day, [(one.counts[n], f"{one.query}&day={day:%Y-%m-%d}") for one in series]) for n, day in enumerate(days)]
    return [row for row in reversed(rows) if any(count for count, _ in row[1])]


def _heat_table(found: charts.Charts) -> list[tuple[str, list[tuple[int, int, str]]]]:
    """Return for each weekday every hour's count, its shade from 0 to 4, and the query string of its alerts."""
    highest, query = max(max(row) for row in found.heat) or 1, found.filters.query
    return [
        (day, [(n, -(-4 * n // highest), f"{query}&hour={weekday}-{hour}") for hour, n in enumerate(row)])
        for weekday, (day, row) in enumerate(zip(WEEKDAYS, found.heat, strict=True), start=1)
    ]
