"""Noise budgets: the form and the newest ones, one with its plan, and the copy of its changes to the user's draft."""

from __future__ import annotations

from typing import Any, Final

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from rest_framework.exceptions import APIException

from drift.backtest.actions import noise_runs as actions
from drift.backtest.domain.noise_chart import noise_bars, noise_figures
from drift.backtest.domain.noise_evidence import MAX_DAYS
from drift.backtest.models import NoiseMeasure, NoiseRun
from drift.backtest.queries import noise_runs as queries
from drift.policy.queries.versions import latest_number
from drift.web.requests import bounded_int, is_fragment, signed_in_user
from drift.web.responses import UNPROCESSABLE, polled_fragment

LISTED: Final = 20
PERIODS: Final = (7, 14, MAX_DAYS)
DEFAULT_ALERTS: Final = 5


def noise_start(request: HttpRequest) -> HttpResponse:
    """Show the newest noise budgets, and the form that starts one; POST starts it."""
    user = signed_in_user(request)
    if request.method != "POST":
        return _noise_list(request)
    try:
        run = actions.start_noise_run(user, _asked(request))
    except APIException as error:
        return _noise_list(request, error=str(error.detail), status=UNPROCESSABLE)
    return redirect("backtest:noise-run", run.pk)


def _noise_list(request: HttpRequest, *, error: str = "", status: int = 200) -> HttpResponse:
    user = signed_in_user(request)
    longest = min(MAX_DAYS, settings.EVENT_RETENTION_DAYS)
    given = request.POST if request.method == "POST" else {}
    context = {
        "runs": queries.newest_noise_runs(user, LISTED),
        "can_start": user.can_triage,
        "places": _place_options(queries.places(user)),
        "periods": sorted({days for days in PERIODS if days <= longest} | {longest}),
        "measures": NoiseMeasure.choices,
        "given": {
            "alerts": given.get("alerts", str(DEFAULT_ALERTS)),
            "place": given.get("place", ""),
            "days": given.get("days", str(longest)),
            "measure": given.get("measure", NoiseMeasure.EVERY_DAY),
            "changing": bool(given.get("changing")),
        },
        "error": error,
    }
    return render(request, "backtest/noise/list.html", context, status=status)


def _place_options(places: queries.Places) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return groups of options, each as value and label, in the form that `_asked` reads."""
    groups = {each.pk: [(f"cluster:{each.pk}", f"Cluster {each.name}")] for each in places.clusters}
    names = {each.pk: each.name for each in places.clusters}
    for cluster, namespace in places.namespaces:
        if cluster in groups:
            groups[cluster].append((f"namespace:{cluster}:{namespace}", f"{names[cluster]} / {namespace}"))
    environments = [(f"environment:{each.pk}", each.name) for each in places.environments]
    found = [("Environments", environments), *((names[pk], options) for pk, options in groups.items())]
    return [(label, options) for label, options in found if options]


def _asked(request: HttpRequest) -> actions.NoiseRequest:
    """Return what the form asks. What is not a number becomes one that the action rejects."""
    kind, _, rest = request.POST.get("place", "").partition(":")
    number, _, namespace = rest.partition(":")
    place = bounded_int(number)
    measure = request.POST.get("measure", "")
    return actions.NoiseRequest(
        alerts=_number(request.POST.get("alerts", "")),
        days=_number(request.POST.get("days", "")),
        measure=measure if measure in NoiseMeasure.values else NoiseMeasure.EVERY_DAY,
        changing=bool(request.POST.get("changing")),
        # 0 is the id of no place.
        environment=(place or 0) if kind == "environment" else None,
        cluster=(place or 0) if kind in ("cluster", "namespace") else None,
        namespace=namespace if kind == "namespace" else "",
    )


def _number(text: str) -> int:
    found = bounded_int(text.strip())
    return -1 if found is None else found


def noise_run(request: HttpRequest, run_id: int) -> HttpResponse:
    """Show one noise budget; to htmx its live part alone, which polls until the run has ended."""
    user = signed_in_user(request)
    row = queries.visible_noise_run(user, run_id)
    context = {"run": row, "can_start": user.can_triage, **_shown_plan(row)}
    if is_fragment(request):
        return polled_fragment(request, "backtest/noise/run.html#run", context)
    return render(request, "backtest/noise/run.html", context)


def _shown_plan(row: NoiseRun) -> dict[str, Any]:
    if row.result is None:
        return {}
    return {
        "result": row.result,
        "figures": noise_figures(row.result, row.alerts),
        "chart": noise_bars(row.result, row.alerts),
        "is_outdated": latest_number() != row.base_id,
        "age": _age(row),
    }


def _age(row: NoiseRun) -> int:
    """Return how many whole days ago the plan's evidence ended."""
    return (timezone.now() - row.until).days


def noise_cancel(request: HttpRequest, run_id: int) -> HttpResponse:
    """Cancel a noise budget, and show it."""
    user = signed_in_user(request)
    row = queries.visible_noise_run(user, run_id)
    try:
        actions.cancel_noise_run(user, row.pk)
    except APIException as error:
        messages.warning(request, str(error.detail))
    return redirect("backtest:noise-run", row.pk)


def noise_copy(request: HttpRequest, run_id: int) -> HttpResponse:
    """Copy the plan's changes to the user's draft, and show the policy page, where they are reviewed."""
    user = signed_in_user(request)
    row = queries.visible_noise_run(user, run_id)
    try:
        actions.copy_to_draft(user, row)
    except APIException as error:
        messages.warning(request, str(error.detail))
        return redirect("backtest:noise-run", row.pk)
    messages.success(request, f"The changes of {row} are in your draft. Review them before you save or propose it.")
    age = _age(row)
    if age:
        days = f"{age} day{'s' if age > 1 else ''}"
        messages.warning(request, f"The plan is {days} old: what ran since was not weighed. Backtest your draft.")
    return redirect("policy:page")
