"""Rollouts in an administrator's hands: pause, resume, roll back, and the plan of the next ones."""

from __future__ import annotations

from collections.abc import Callable

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render

from accounts.models import User
from drift.fleet.actions import rollback
from drift.fleet.actions import rollout_waves as waves
from drift.fleet.errors import FleetError
from drift.fleet.forms.environments import RolloutPlanForm
from drift.fleet.models import Rollout, RolloutPlan
from drift.fleet.views.responses import UNPROCESSABLE, user_of

STEERING: dict[str, tuple[Callable[[User, Rollout], bool], str]] = {
    "pause": (waves.pause_rollout, "was paused"),
    "resume": (waves.resume_rollout, "goes on"),
}


def steer(request: HttpRequest, number: int, do: str) -> HttpResponse:
    """Pause or resume one rollout."""
    if do not in STEERING:
        raise Http404
    row = get_object_or_404(Rollout.objects.visible_to(user_of(request)), version_id=number)
    action, said = STEERING[do]
    if action(user_of(request), row):
        messages.success(request, f"The rollout of v{number} {said}.")
    else:
        messages.warning(request, f"The rollout of v{number} has moved on meanwhile; nothing was changed.")
    return redirect("fleet:rollout", number=number)


def roll_back(request: HttpRequest, number: int) -> HttpResponse:
    """Give everybody the document that was before version `number`, under a new number."""
    get_object_or_404(Rollout.objects.visible_to(user_of(request)), version_id=number)
    try:
        version = rollback.roll_back(user_of(request), number)
    except FleetError as refused:
        messages.error(request, str(refused.detail))
        return redirect("fleet:rollout", number=number)
    messages.success(request, f"v{version.number} takes every sensor back.")
    return redirect("fleet:rollout", number=version.number)


def plan(request: HttpRequest) -> HttpResponse:
    """How the next versions go out."""
    form = RolloutPlanForm(user_of(request), RolloutPlan.objects.get(), request.POST or None)
    if request.method == "POST" and form.is_valid():
        waves.save_rollout_plan(
            user_of(request),
            waves=form.waves(),
            pause_minutes=form.cleaned_data["pause_minutes"],
            max_rejected=form.cleaned_data["max_rejected"],
            max_alerts=form.cleaned_data["max_alerts"],
        )
        messages.success(request, "The next versions go out by this plan.")
        return redirect("fleet:rollouts")
    return render(request, "fleet/rollout_plan.html", {"form": form}, status=UNPROCESSABLE if form.errors else 200)
