"""The page of charts; each chart filters when it is clicked and has its table beside it."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from drift.alerts import charts, pills
from drift.alerts.filters import Filters
from drift.alerts.views.shared import user_of

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def charts_page(request: HttpRequest) -> HttpResponse:
    """`days` (7, 30, 90) and `split` (status, cloud, rule) choose what is shown; filters are the list's."""
    user, filters = user_of(request), Filters.read(request.GET)
    days = next((days for days in charts.DAYS if request.GET.get("days") == str(days)), charts.DAYS[1])
    split = request.GET.get("split", "")
    split = split if split in charts.SPLITS else "status"
    found = charts.chosen(user, filters, days)
    stamps, series = charts.over_time(found, filters, days, split)
    context: dict[str, Any] = {
        "filters": filters,
        "pills": [pill for pill in pills.pills(filters) if pill.removed and pill.name in filters.values],
        "days": days,
        "all_days": charts.DAYS,
        "split": split,
        "splits": charts.SPLITS,
        "plot": {
            "days": stamps,
            "series": [{"name": one.name, "query": one.query, "counts": one.counts} for one in series],
        },
        "table": _table(stamps, series),
        "series": series,
        "tops": [
            ("Images", charts.top(found, filters, "image_name", "image")),
            ("Namespaces", charts.top(found, filters, "namespace", "namespace")),
            ("Binaries", charts.top_binaries(found, filters)),
        ],
        "times": charts.times(found),
        "heat": _heat(charts.heat(found)),
        "hours": range(24),
    }
    return render(request, "alerts/charts.html", context)


def _table(stamps: list[int], series: list[charts.Series]) -> list[tuple[dt.datetime, list[int]]]:
    """The days that have alerts, newest first."""
    rows = [
        (dt.datetime.fromtimestamp(stamp, dt.UTC), [one.counts[n] for one in series]) for n, stamp in enumerate(stamps)
    ]
    return [row for row in reversed(rows) if any(row[1])]


def _heat(counts: list[list[int]]) -> list[tuple[str, list[tuple[int, int]]]]:
    """Per weekday each hour's count and its shade of 0 to 4."""
    most = max(max(row) for row in counts) or 1
    return [(day, [(n, -(-4 * n // most)) for n in row]) for day, row in zip(WEEKDAYS, counts, strict=True)]
