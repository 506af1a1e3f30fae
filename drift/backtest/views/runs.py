"""Backtests: the list, one run that shows its progress and then its result."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from rest_framework.exceptions import APIException

from drift.backtest.actions import runs as actions
from drift.backtest.models import BacktestRun
from drift.backtest.queries.summary import Example
from drift.fleet.views.responses import UNPROCESSABLE, is_htmx, live, user_of
from drift.policy.queries.draft_state import State, state_of
from sensor.policy import digest

LISTED = 20
PERIODS = (1, 7, 14, 30)
DAYS = 7


def start(request: HttpRequest) -> HttpResponse:
    """The newest runs, and the form that starts one for the user's draft; POST starts it."""
    state = state_of(user_of(request))
    if request.method != "POST":
        return _list(request, state)
    try:
        days = request.POST.get("days", "")
        run = actions.start(user_of(request), state.document, state.base.number, int(days) if _is_number(days) else 0)
    except APIException as error:
        return _list(request, state, fault=str(error.detail), status=UNPROCESSABLE)
    return redirect("backtest:run", run.pk)


def run(request: HttpRequest, run_id: int) -> HttpResponse:
    """One run; for htmx the live part alone, which polls until the run has ended."""
    row = _run(request, run_id)
    context = {"run": row, "can_start": user_of(request).can_triage, "result": _shown(row)}
    if is_htmx(request):
        return live(request, "backtest/run.html#run", context)
    return render(request, "backtest/run.html", context)


def of_draft(request: HttpRequest) -> HttpResponse:
    """For the draft's review: the newest run of the draft as it is, and the way to start one; POST starts it."""
    if not is_htmx(request):
        return redirect("backtest:start")
    user, fault = user_of(request), ""
    state = state_of(user)
    days = min(DAYS, settings.EVENT_RETENTION_DAYS)
    if request.method == "POST":
        try:
            actions.start(user, state.document, state.base.number, days)
        except APIException as error:
            fault = str(error.detail)
    rows = BacktestRun.objects.visible_to(user).filter(started_by=user, base=state.base, digest=digest(state.document))
    row = rows.defer("document").order_by("-pk").first()
    context = {"run": row, "result": _shown(row) if row else None, "days": days, "fault": fault}
    return live(request, "backtest/draft_backtest.html", context)


def cancel(request: HttpRequest, run_id: int) -> HttpResponse:
    """End the run, and show it."""
    row = _run(request, run_id)
    try:
        actions.cancel(user_of(request), row.pk)
    except APIException as error:
        messages.warning(request, str(error.detail))
    return redirect("backtest:run", row.pk)


def _run(request: HttpRequest, run_id: int) -> BacktestRun:
    rows = BacktestRun.objects.visible_to(user_of(request)).select_related("started_by")
    row: BacktestRun = get_object_or_404(rows.defer("document"), pk=run_id)
    return row


def _list(request: HttpRequest, state: State, *, fault: str = "", status: int = 200) -> HttpResponse:
    rows = BacktestRun.objects.visible_to(user_of(request)).select_related("started_by")
    context = {
        "runs": rows.defer("document", "result").order_by("-created_at", "-pk")[:LISTED],
        "state": state,
        "changes": len(state.changes),
        "can_start": user_of(request).can_triage,
        "periods": [days for days in PERIODS if days <= settings.EVENT_RETENTION_DAYS],
        "days": DAYS,
        "fault": fault,
    }
    return render(request, "backtest/list.html", context, status=status)


def _shown(row: BacktestRun) -> dict[str, Any] | None:
    """The result with times as times, and the lists of examples under their headings."""
    if row.result is None:
        return None
    lists = (
        ("Alerts that would vanish", "vanish", "No alert would vanish."),
        ("Alerts that would appear", "appear", "No alert would appear."),
        ("The noisiest that remain", "noisiest", "No alert would be left."),
    )
    examples = [(heading, key, [_timed(each) for each in row.result[key]], none) for heading, key, none in lists]
    return {**row.result, "examples": examples}


def _timed(example: Example) -> dict[str, Any]:
    return {**example, "last_seen": dt.datetime.fromisoformat(example["last_seen"])}


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 4
