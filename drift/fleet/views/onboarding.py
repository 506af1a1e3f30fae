"""Sensor onboarding: enrolment tokens, and the commands that use them."""

from __future__ import annotations

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone

from drift.fleet.actions.enrolment_tokens import create_enrolment_token, revoke_enrolment_token
from drift.fleet.forms.enrolment_tokens import EnrolmentTokenForm
from drift.fleet.models import EnrolmentToken
from drift.fleet.queries.enrolment_tokens import visible_enrolment_tokens
from drift.web.requests import signed_in_user
from drift.web.responses import UNPROCESSABLE


def onboarding(request: HttpRequest) -> HttpResponse:
    """The tokens, and a form that creates one; only the response to it shows the token. `?environment=` preselects."""
    user = signed_in_user(request)
    form = EnrolmentTokenForm(user, request.POST or None, initial={"environment": request.GET.get("environment")})
    created: tuple[EnrolmentToken, str] | None = None
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        created = create_enrolment_token(
            user,
            name=data["name"],
            environment=data["environment"],
            cluster=data["cluster"] or None,
            expires_at=form.expiry(),
            max_live_nodes=data["max_live_nodes"],
        )
        form = EnrolmentTokenForm(user)
    context = {
        "form": form,
        "created": created,
        "tokens": visible_enrolment_tokens(user),
        "now": timezone.now(),
        "portal": settings.PUBLIC_URL,
    }
    return render(request, "fleet/onboarding.html", context, status=UNPROCESSABLE if form.errors else 200)


def revoke(request: HttpRequest, pk: int) -> HttpResponse:
    """Let no more nodes enrol with a token."""
    user = signed_in_user(request)
    token = get_object_or_404(EnrolmentToken.objects.visible_to(user), pk=pk)
    revoke_enrolment_token(user, token)
    messages.success(request, f"{token.name} was revoked. Sensors that enrolled with it stay enrolled.")
    return redirect("fleet:onboarding")
