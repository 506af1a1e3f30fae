"""Sensor onboarding: enrolment tokens, the commands that use them, and what became of them."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone

from drift.fleet.actions.enrolment_tokens import create_enrolment_token, revoke_enrolment_token
from drift.fleet.domain.onboarding_lines import Line, Onboarding, onboarding_lines
from drift.fleet.forms.enrolment_tokens import EnrolmentTokenForm, release
from drift.fleet.models import EnrolmentToken
from drift.fleet.queries.enrolment_tokens import visible_enrolment_tokens
from drift.fleet.queries.onboarding import onboarding_progress
from drift.fleet.queries.sensor_files import chart_name, sensor_file, signed_place
from drift.web.requests import is_fragment, signed_in_user
from drift.web.responses import UNPROCESSABLE, polled_fragment

CONTENT_TYPES = {"yaml": "application/yaml", "tgz": "application/gzip", "service": "text/plain; charset=utf-8"}


def onboarding(request: HttpRequest) -> HttpResponse:
    """The tokens, and a form that creates one; only the response to it shows the token. `?environment=` preselects."""
    user = signed_in_user(request)
    form = EnrolmentTokenForm(user, request.POST or None, initial={"environment": request.GET.get("environment")})
    made: dict[str, Any] = {}
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        created, token = create_enrolment_token(
            user,
            name=data["name"],
            environment=data["environment"],
            cluster=data["cluster"] or None,
            expires_at=form.expiry(),
            max_live_nodes=data["max_live_nodes"],
        )
        made = {"created": created, "token": token, "lines": _lines(form, token)}
        made["progress"] = onboarding_progress(user, created)
        form = EnrolmentTokenForm(user)
    context = {
        "form": form,
        **made,
        "tokens": visible_enrolment_tokens(user),
        "now": timezone.now(),
    }
    return render(request, "fleet/onboarding/page.html", context, status=UNPROCESSABLE if form.errors else 200)


def _lines(form: EnrolmentTokenForm, token: str) -> list[Line]:
    platform, image = form.chosen_platform(), form.chosen_image()
    signed = signed_place(platform.runtime, image)
    files = reverse("fleet:sensor-file", args=[signed, "x"]).removesuffix("/x")
    return onboarding_lines(
        Onboarding(
            portal=settings.PUBLIC_URL,
            token=token,
            cluster=form.chosen_cluster(),
            hosts=form.chosen_cluster("hosts"),
            platform=platform,
            image=image,
            package=settings.SENSOR_PACKAGE or f"driftwatch-sensor=={release()}",
            files=f"{settings.PUBLIC_URL}{files}",
            chart=chart_name(),
        )
    )


def nodes(request: HttpRequest, pk: int) -> HttpResponse:
    """Show how far the nodes of a token are; to htmx its live part alone, which polls."""
    user = signed_in_user(request)
    token = get_object_or_404(EnrolmentToken.objects.visible_to(user).select_related("environment"), pk=pk)
    context = {"progress": onboarding_progress(user, token)}
    if is_fragment(request):
        return polled_fragment(request, "fleet/onboarding/progress.html", context)
    return render(request, "fleet/onboarding/nodes.html", context)


def file(request: HttpRequest, signed: str, name: str) -> HttpResponse:
    """Serve a file that an onboarding line names, to whoever has the line."""
    content = sensor_file(signed, name)
    if content is None:
        raise Http404
    response = HttpResponse(content, content_type=CONTENT_TYPES[name.rpartition(".")[2]])
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


def revoke(request: HttpRequest, pk: int) -> HttpResponse:
    """Let no more nodes enrol with a token."""
    user = signed_in_user(request)
    token = get_object_or_404(EnrolmentToken.objects.visible_to(user), pk=pk)
    revoke_enrolment_token(user, token)
    messages.success(request, f"{token.name} was revoked. Sensors that enrolled with it stay enrolled.")
    return redirect("fleet:onboarding")
