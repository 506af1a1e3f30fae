"""The monthly report of what was hidden."""

from __future__ import annotations

import datetime as dt

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone

from drift.alerts.queries.hidden_alerts import MAX_ALERTS, MAX_SEEN, hidden_alerts
from drift.web.requests import signed_in_user


def hidden_report(request: HttpRequest) -> HttpResponse:
    """Show what was dismissed in a month (`month=2026-11`, by default this one), by rule and by person."""
    today = timezone.now().date()
    start = _month_start(request.GET.get("month", ""), today)
    end = (start + dt.timedelta(days=31)).replace(day=1)
    context = {
        "month": start,
        "previous": (start - dt.timedelta(days=1)).replace(day=1),
        "next": end if end <= today else None,
        "report": hidden_alerts(signed_in_user(request), start, end),
        "limit": MAX_ALERTS,
        "max_seen": MAX_SEEN,
    }
    return render(request, "alerts/suppression/report.html", context)


def _month_start(month: str, today: dt.date) -> dt.date:
    """Return the first day of the month, as in "2026-11"; of this one for anything else."""
    try:
        found = dt.date.fromisoformat(f"{month[:7]}-01")
    except ValueError:
        return today.replace(day=1)
    # Beyond, the days before and after a month are no dates, and nothing was dismissed.
    return found if 2000 <= found.year <= today.year else today.replace(day=1)
