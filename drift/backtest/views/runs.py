"""Backtests: the list, one run with its progress and result, and the backtest in a draft's review."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from rest_framework.exceptions import APIException

from drift.backtest.actions import runs as actions
from drift.backtest.domain.result import Example
from drift.backtest.models import BacktestRun
from drift.backtest.queries import runs as queries
from drift.policy.domain.rule_changes import pair_digest
from drift.policy.queries.compared import compared
from drift.policy.queries.drafts import DraftState, draft_state
from drift.web.requests import bounded_int, is_fragment, signed_in_user
from drift.web.responses import UNPROCESSABLE, polled_fragment
from sensor.policy import digest

LISTED = 20
PERIODS = (1, 7, 14, 30)
DEFAULT_DAYS = 7


def start(request: HttpRequest) -> HttpResponse:
    """Show the newest runs, and the form that starts one for the user's draft; POST starts it."""
    user = signed_in_user(request)
    state = draft_state(user)
    if request.method != "POST":
        return _list(request, state)
    # 0 for anything that is not a number of days: rejected with the same message as a period that is too long.
    days = bounded_int(request.POST.get("days", "")) or 0
    try:
        run = actions.start(user, state.document, state.base.number, days)
    except APIException as error:
        return _list(request, state, error=str(error.detail), status=UNPROCESSABLE)
    return redirect("backtest:run", run.pk)


def _list(request: HttpRequest, state: DraftState, *, error: str = "", status: int = 200) -> HttpResponse:
    user = signed_in_user(request)
    context = {
        "runs": queries.newest_runs(user, LISTED),
        "state": state,
        "changes": len(state.changes),
        "can_start": user.can_triage,
        "periods": [days for days in PERIODS if days <= settings.EVENT_RETENTION_DAYS],
        "days": DEFAULT_DAYS,
        "error": error,
    }
    return render(request, "backtest/list.html", context, status=status)


def run(request: HttpRequest, run_id: int) -> HttpResponse:
    """Show one run; to htmx its live part alone, which polls until the run has ended."""
    user = signed_in_user(request)
    row = queries.visible_run(user, run_id)
    context = {"run": row, "can_start": user.can_triage, "result": _shown_result(row)}
    if is_fragment(request):
        return polled_fragment(request, "backtest/run.html#run", context)
    return render(request, "backtest/run.html", context)


def of_draft(request: HttpRequest) -> HttpResponse:
    """Show, beside a change, its newest run and a button that starts one; POST starts it.

    `?of=` is the pair of documents (drift.policy.queries.compared), by default the user's draft and its base; `?shown=`
    the pair that the page shows (`pair_digest`): a run of another one would stand beside the wrong change.
    """
    if not is_fragment(request):
        return redirect("backtest:start")
    user, error = signed_in_user(request), ""
    name = request.GET.get("of", "draft")
    pair = compared(user, name)
    if pair is None:
        raise Http404
    shown = request.GET.get("shown", "")
    if shown and shown != pair_digest(pair.before, pair.after):
        return polled_fragment(request, "backtest/draft_backtest.html", {"is_stale": True})
    days = min(DEFAULT_DAYS, settings.EVENT_RETENTION_DAYS)
    if request.method == "POST":
        try:
            actions.start(user, pair.after, pair.base.number, days)
        except APIException as rejected:
            error = str(rejected.detail)
    row = queries.draft_run(user, pair.base, digest(pair.after))
    result = _shown_result(row) if row else None
    context = {"run": row, "result": result, "days": days, "error": error, "of": name, "shown": shown}
    return polled_fragment(request, "backtest/draft_backtest.html", context)


def cancel(request: HttpRequest, run_id: int) -> HttpResponse:
    """Cancel a run, and show it."""
    user = signed_in_user(request)
    row = queries.visible_run(user, run_id)
    try:
        actions.cancel(user, row.pk)
    except APIException as error:
        messages.warning(request, str(error.detail))
    return redirect("backtest:run", row.pk)


def _shown_result(row: BacktestRun) -> dict[str, Any] | None:
    """Return the result with datetimes, and the lists of examples under their headings."""
    if row.result is None:
        return None
    lists = (
        ("Alerts that would disappear", "vanish", "No alert would disappear."),
        ("Alerts that would appear", "appear", "No alert would appear."),
        ("Noisiest remaining", "noisiest", "No alert would remain."),
    )
    examples = [(heading, key, [_dated(each) for each in row.result[key]], empty) for heading, key, empty in lists]
    return {**row.result, "examples": examples}


def _dated(example: Example) -> dict[str, Any]:
    return {**example, "last_seen": dt.datetime.fromisoformat(example["last_seen"])}
