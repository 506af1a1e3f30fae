"""Sensor onboarding: enrolment tokens and the commands that use them."""

from __future__ import annotations

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone

from drift.fleet.actions.enrolment_tokens import create_enrolment_token, revoke_enrolment_token
from drift.fleet.forms.environments import EnrolmentTokenForm
from drift.fleet.models import EnrolmentToken
from drift.fleet.queries.enrolment_tokens import visible_enrolment_tokens
from drift.fleet.views.responses import UNPROCESSABLE, user_of


def onboarding(request: HttpRequest) -> HttpResponse:
    """The tokens; making one, whose text is on the answer only. `?environment=` chooses beforehand."""
    form = EnrolmentTokenForm(
        user_of(request), request.POST or None, initial={"environment": request.GET.get("environment")}
    )
    made: tuple[EnrolmentToken, str] | None = None
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        made = create_enrolment_token(
            user_of(request),
            name=data["name"],
            environment=data["environment"],
            cluster=data["cluster"] or None,
            expires_at=form.expires_at(),
            max_live_nodes=data["max_live_nodes"],
        )
        form = EnrolmentTokenForm(user_of(request))
    context = {
        "form": form,
        "made": made,
        "tokens": visible_enrolment_tokens(user_of(request)),
        "now": timezone.now(),
        "portal": settings.PUBLIC_URL,
    }
    return render(request, "fleet/onboarding.html", context, status=UNPROCESSABLE if form.errors else 200)


def revoke(request: HttpRequest, pk: int) -> HttpResponse:
    """No node enrols with it any more."""
    token = get_object_or_404(EnrolmentToken.objects.visible_to(user_of(request)), pk=pk)
    revoke_enrolment_token(user_of(request), token)
    messages.success(request, f"{token.name} was revoked. Sensors that enrolled with it stay.")
    return redirect("fleet:onboarding")
