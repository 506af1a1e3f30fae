"""Rollouts: the list, one with its sensors, pause, resume, roll back, and the plan of later ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render

from accounts.models import User
from drift.fleet.actions import rollout_control
from drift.fleet.actions.rollout_control import pause_rollout, resume_rollout, save_rollout_plan
from drift.fleet.errors import FleetError
from drift.fleet.forms.rollout_plan import RolloutPlanForm
from drift.fleet.models import DeliveryState, Rollout, RolloutPlan
from drift.fleet.queries.rollout_waves import rollback_target
from drift.fleet.queries.rollouts import (
    all_progress,
    is_newest,
    latest_rollout,
    milestones,
    newest_progress,
    newest_rollouts,
    progress,
    rollout_deliveries,
    visible_rollout,
)
from drift.policy.errors import ApproverRequired, DefaultMayNotBlock
from drift.web.requests import bounded_int, is_fragment, signed_in_user
from drift.web.responses import UNPROCESSABLE, polled_fragment

LISTED: Final = 50
MAX_NUMBER: Final = 999_999_999
"""Greater than the number of any version."""
CONTROLS: Final[dict[str, tuple[Callable[[User, Rollout], bool], str]]] = {
    "pause": (pause_rollout, "was paused"),
    "resume": (resume_rollout, "continues"),
}


def listed(request: HttpRequest) -> HttpResponse:
    """The newest versions, or those before number `?before=`, and how far each has come."""
    before = bounded_int(request.GET.get("before", ""), maximum=MAX_NUMBER)
    user = signed_in_user(request)
    rows, older = newest_rollouts(user, before, LISTED)
    lines = list(zip(rows, all_progress(user, rows), strict=True))
    return render(request, "fleet/rollouts/list.html", {"lines": lines, "older": older, "is_later": before is not None})


def rollout(request: HttpRequest, number: int) -> HttpResponse:
    """One rollout; `?state=` filters its sensors, `?after=` is the cursor. For htmx the progress alone."""
    user = signed_in_user(request)
    row = visible_rollout(user, number)
    if row is None:
        raise Http404
    state = request.GET.get("state", "")
    counts = newest_progress(user, row) if is_newest(row) else progress(user, row)
    context = {
        "rollout": row,
        "progress": counts,
        "milestones": milestones(user, row, counts.total - counts.off),
        "states": [(value, label, counts.by_state.get(value, 0)) for value, label in DeliveryState.choices],
        "state": state,
        "wave": len(row.waves) - row.waves_left + 1,
        "before": rollback_target(number) if is_newest(row) else None,
        "page": rollout_deliveries(user, row, state, request.GET.get("after", "")),
    }
    if is_fragment(request):
        return polled_fragment(request, "fleet/rollouts/rollout.html#progress", context)
    return render(request, "fleet/rollouts/rollout.html", context)


def delivery_line(request: HttpRequest) -> HttpResponse:
    """How far the newest version has come, in one line that other pages include."""
    user = signed_in_user(request)
    row = latest_rollout(user)
    context = {"progress": newest_progress(user, row) if row else None}
    return polled_fragment(request, "fleet/rollouts/delivery_line.html", context)


def control(request: HttpRequest, number: int, do: str) -> HttpResponse:
    """Pause or resume a rollout."""
    if do not in CONTROLS:
        raise Http404
    row = get_object_or_404(Rollout.objects.visible_to(signed_in_user(request)), version_id=number)
    action, result = CONTROLS[do]
    if action(signed_in_user(request), row):
        messages.success(request, f"The rollout of v{number} {result}.")
    else:
        messages.warning(request, f"The state of the rollout of v{number} has changed; nothing was done.")
    return redirect("fleet:rollout", number=number)


def roll_back(request: HttpRequest, number: int) -> HttpResponse:
    """Give all sensors the document that was in force before version `number`, under a new number."""
    user = signed_in_user(request)
    get_object_or_404(Rollout.objects.visible_to(user), version_id=number)
    try:
        version = rollout_control.roll_back(user, number)
    except (FleetError, DefaultMayNotBlock) as error:
        messages.error(request, str(error.detail))
        return redirect("fleet:rollout", number=number)
    except ApproverRequired as error:
        messages.error(request, f"{error.detail} Version history proposes an earlier version.")
        return redirect("fleet:rollout", number=number)
    messages.success(request, f"v{version.number} was saved; all sensors are rolled back to it.")
    return redirect("fleet:rollout", number=version.number)


def plan(request: HttpRequest) -> HttpResponse:
    """How later versions are rolled out."""
    user = signed_in_user(request)
    form = RolloutPlanForm(user, RolloutPlan.objects.get(), request.POST or None)
    if request.method == "POST" and form.is_valid():
        save_rollout_plan(
            user,
            waves=form.waves(),
            pause_minutes=form.cleaned_data["pause_minutes"],
            max_rejected=form.cleaned_data["max_rejected"],
            max_alerts=form.cleaned_data["max_alerts"],
        )
        messages.success(request, "The plan was saved. It applies to versions saved from now on.")
        return redirect("fleet:rollouts")
    return render(request, "fleet/rollouts/plan.html", {"form": form}, status=UNPROCESSABLE if form.errors else 200)
