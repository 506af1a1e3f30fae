"""Changes of environments, and the scope tree that other pages include."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse

from drift.fleet.actions.environments import (
    change_environment,
    create_environment,
    restore_environment,
    retire_environment,
    switch_sensor,
)
from drift.fleet.errors import FleetError
from drift.fleet.forms.environments import EnvironmentChangeForm, EnvironmentForm
from drift.fleet.models import Environment, Provider
from drift.fleet.queries.environments import environments_by_cloud
from drift.fleet.queries.protection import environment_stop
from drift.fleet.views.settings import confirm_panel, settings_context, settings_panel
from drift.policy.models import PolicyVersion
from drift.web.requests import is_fragment, signed_in_user
from drift.web.responses import UNPROCESSABLE


def add(request: HttpRequest) -> HttpResponse:
    """A new environment; `?provider=` preselects the cloud."""
    form = EnvironmentForm(request.POST or None, initial={"provider": request.GET.get("provider") or Provider.AZURE})
    if request.method == "POST" and form.is_valid():
        try:
            environment = create_environment(signed_in_user(request), **form.cleaned_data)
        except FleetError as error:
            form.add_error("account", str(error.detail))
        else:
            messages.success(request, f"{environment.name} was added. Enrol its nodes with an enrolment token.")
            return redirect("fleet:environment-settings")
    status = UNPROCESSABLE if form.errors else 200
    return settings_panel(request, "fleet/settings/environment_panel.html", {"form": form}, status=status)


def change(request: HttpRequest, pk: int) -> HttpResponse:
    """An environment's name and what its sensors do."""
    environment = _environment(request, pk)
    initial = {
        "name": environment.name,
        "proof": environment.proved_since is not None,
        "exec_history": environment.exec_history,
    }
    form = EnvironmentChangeForm(request.POST or None, initial=initial)
    if request.method == "POST" and form.is_valid():
        change_environment(signed_in_user(request), environment, **form.cleaned_data)
        messages.success(request, f"{form.cleaned_data['name']} was changed.")
        return redirect("fleet:environment-settings")
    context, status = {"form": form, "environment": environment}, UNPROCESSABLE if form.errors else 200
    return settings_panel(request, "fleet/settings/environment_panel.html", context, status=status)


def switch(request: HttpRequest, pk: int) -> HttpResponse:
    """GET asks before *Sensor* is switched off, and shows what that stops; POST switches it on (`on=1`) or off."""
    environment = _environment(request, pk)
    if request.method != "POST":
        context = {"environment": environment, "stop": environment_stop(signed_in_user(request), environment)}
        return settings_panel(request, "fleet/settings/switch_off_panel.html", context)
    on = {"1": True, "0": False}.get(request.POST.get("on", ""))
    if on is None:  # An incomplete form must not switch anything.
        return HttpResponse("Choose on or off: nothing was changed.", "text/plain", UNPROCESSABLE)
    switch_sensor(signed_in_user(request), environment, on=on)
    status = f"Sensor {'on' if on else 'off'} in {environment.name}"
    if is_fragment(request):
        context = settings_context(request) | {"status": status, "switched": environment}
        response = render(request, "fleet/settings/page.html#estate", context)
        response["HX-Trigger-After-Swap"] = "panel:close"
        return response
    messages.success(request, status)
    return redirect("fleet:environment-settings")


def retire(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask for confirmation, listing the rules that name it; then retire it."""
    environment = _environment(request, pk)
    if request.method == "POST":
        retire_environment(signed_in_user(request), environment)
        messages.success(request, f"{environment.name} was retired. Its data was kept.")
        return redirect("fleet:environment-settings")
    rules = _rules_naming(environment)
    text = "Its sensors are rejected and it leaves this page. Alerts and events stay, and it can be restored."
    if rules:
        text += " These rules name it; they stay as they are:"
    return confirm_panel(
        request,
        heading=f"Retire {environment.name}?",
        text=text,
        lines=rules,
        action=reverse("fleet:environment-retire", args=[pk]),
        button="Retire",
    )


def restore(request: HttpRequest, pk: int) -> HttpResponse:
    """Restore a retired environment."""
    environment = _environment(request, pk)
    restore_environment(signed_in_user(request), environment)
    messages.success(request, f"{environment.name} was restored.")
    return redirect("fleet:environment-settings")


def scope_tree(request: HttpRequest) -> HttpResponse:
    """Checkboxes `scope` for every cloud (`azure`) and environment (`azure:<account>`); `?selected=` checks them."""
    clouds = environments_by_cloud(signed_in_user(request))
    context = {"clouds": clouds, "selected": set(request.GET.getlist("selected"))}
    return render(request, "fleet/scope_tree.html", context)


def _environment(request: HttpRequest, pk: int) -> Environment:
    found: Environment = get_object_or_404(Environment.objects.visible_to(signed_in_user(request)), pk=pk)
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
