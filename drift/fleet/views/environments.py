"""Environment settings: the estate as a tree, and what an administrator does to it."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse

from drift.fleet.actions import blocking_switch as blocking
from drift.fleet.actions import environments as estate
from drift.fleet.errors import FleetError
from drift.fleet.forms.environments import EnvironmentChangeForm, EnvironmentForm
from drift.fleet.models import Environment, FleetState, Provider
from drift.fleet.views.responses import UNPROCESSABLE, confirm, is_htmx, live, on_settings, settings_context, user_of
from drift.policy.models import PolicyVersion


def settings(request: HttpRequest) -> HttpResponse:
    """The page; for htmx its tree alone."""
    context = settings_context(request)
    if is_htmx(request):
        if request.headers.get("HX-Trigger") == "list-tools":
            context["said"] = f"Showing {context['summary']}"
        return live(request, "fleet/settings.html#estate", context)
    return render(request, "fleet/settings.html", context)


def add(request: HttpRequest) -> HttpResponse:
    """A new environment; `?provider=` chooses the cloud."""
    provider = request.GET.get("provider")
    form = EnvironmentForm(request.POST or None, initial={"provider": provider or Provider.AZURE})
    if request.method == "POST" and form.is_valid():
        try:
            environment = estate.create_environment(user_of(request), **form.cleaned_data)
        except FleetError as refusal:
            form.add_error("account", str(refusal.detail))
        else:
            messages.success(request, f"{environment.name} was added. Enrol its nodes with an enrolment token.")
            return redirect("fleet:environment-settings")
    return on_settings(
        request, "fleet/environment_panel.html", {"form": form}, status=UNPROCESSABLE if form.errors else 200
    )


def change(request: HttpRequest, pk: int) -> HttpResponse:
    """Another name; proof of detection on or off."""
    environment = _environment(request, pk)
    initial = {"name": environment.name, "proof": environment.proved_since is not None}
    form = EnvironmentChangeForm(request.POST or None, initial=initial)
    if request.method == "POST" and form.is_valid():
        estate.change_environment(user_of(request), environment, **form.cleaned_data)
        messages.success(request, f"{form.cleaned_data['name']} was changed.")
        return redirect("fleet:environment-settings")
    context = {"form": form, "environment": environment}
    return on_settings(request, "fleet/environment_panel.html", context, status=UNPROCESSABLE if form.errors else 200)


def switch(request: HttpRequest, pk: int) -> HttpResponse:
    """*Defender sensor* on (`on=1`) or off (`on=0`)."""
    environment = _environment(request, pk)
    on = {"1": True, "0": False}.get(request.POST.get("on", ""))
    if on is None:
        return _nothing_chosen()
    estate.switch_sensor(user_of(request), environment, on=on)
    said = f"Defender sensor {'on' if on else 'off'} in {environment.name}"
    if is_htmx(request):
        return render(request, "fleet/settings.html#estate", settings_context(request) | {"said": said})
    messages.success(request, said)
    return redirect("fleet:environment-settings")


def retire(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask, naming the rules that name it; then retire."""
    environment = _environment(request, pk)
    if request.method == "POST":
        estate.retire_environment(user_of(request), environment)
        messages.success(request, f"{environment.name} was retired. Nothing stored was deleted.")
        return redirect("fleet:environment-settings")
    rules = _rules_naming(environment)
    text = "Its sensors are refused and it leaves this page. Alerts and events stay, and it can be restored."
    if rules:
        text += " These rules name it; they stay as they are:"
    return confirm(
        request,
        heading=f"Retire {environment.name}?",
        text=text,
        lines=rules,
        action=reverse("fleet:environment-retire", args=[pk]),
        button="Retire",
    )


def restore(request: HttpRequest, pk: int) -> HttpResponse:
    """Bring a retired environment back."""
    environment = _environment(request, pk)
    estate.restore_environment(user_of(request), environment)
    messages.success(request, f"{environment.name} is back.")
    return redirect("fleet:environment-settings")


def stop_blocking(request: HttpRequest) -> HttpResponse:
    """Ask, then stop (`do=stop`) or resume (`do=resume`) all blocking."""
    if request.method == "POST":
        stopped = {"stop": True, "resume": False}.get(request.POST.get("do", ""))
        if stopped is None:
            return _nothing_chosen()
        (blocking.stop_all_blocking if stopped else blocking.resume_blocking)(user_of(request))
        messages.success(request, "All blocking was stopped." if stopped else "Sensors block again as the policy says.")
        return redirect("fleet:environment-settings")
    stopped = FleetState.objects.get().blocking_stopped
    text = (
        "Sensors block again where a rule says so, within seconds."
        if stopped
        else "Every sensor stops blocking within seconds, whatever the policy says. Detection and alerts go on."
    )
    return confirm(
        request,
        heading="Resume blocking?" if stopped else "Stop all blocking?",
        text=text,
        action=reverse("fleet:blocking"),
        button="Resume blocking" if stopped else "Stop all blocking",
        do="resume" if stopped else "stop",
    )


def _nothing_chosen() -> HttpResponse:
    """A form that says neither yes nor no must not switch anything."""
    return HttpResponse("Say what to do: nothing was changed.", "text/plain", UNPROCESSABLE)


def _environment(request: HttpRequest, pk: int) -> Environment:
    found: Environment = get_object_or_404(Environment.objects.visible_to(user_of(request)), pk=pk)
    return found


def _rules_naming(environment: Environment) -> list[str]:
    """Names of the latest version's rules whose cloud scope names this account."""
    newest = PolicyVersion.objects.order_by("-number").first()
    rules = newest.document["rules"] if newest else []
    return [
        rule["name"]
        for rule in rules
        if any(
            entry["provider"] == environment.provider and environment.account in entry.get("accounts", [])
            for entry in rule["cloud_scope"]
        )
    ]
