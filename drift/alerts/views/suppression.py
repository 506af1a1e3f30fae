"""The page of suppression rules, and the panel that makes one."""

from __future__ import annotations

import json
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render

from drift.alerts.actions import suppression_rules as suppression
from drift.alerts.domain.suppression_match import OPERATORS, PROPERTIES
from drift.alerts.errors import ChangeConflict, Invalid
from drift.alerts.forms import suppression as suppression_form
from drift.alerts.forms.suppression import Form
from drift.alerts.models import Alert, SuppressionRule
from drift.alerts.queries import suppression_preview
from drift.alerts.queries.filters import number
from drift.alerts.views.shared import is_htmx, user_of
from drift.fleet.models import Environment


def rules(request: HttpRequest) -> HttpResponse:
    """The list of rules with their hits; with htmx the list alone."""
    found = SuppressionRule.objects.visible_to(user_of(request)).prefetch_related("environments")
    rows = [(rule, _words(rule)) for rule in found.select_related("created_by").order_by("name")]
    context = {"rows": rows, "can_triage": user_of(request).can_triage}
    return render(request, f"alerts/suppression/page.html{'#rules' if is_htmx(request) else ''}", context)


def _words(rule: SuppressionRule) -> list[str]:
    """The conditions in words."""
    words = []
    for each in rule.conditions:
        values = " or ".join(f"{OPERATORS[one['operator']].lower()} “{one['value']}”" for one in each["any_of"])
        words.append(f"{PROPERTIES[each['property']]} {values}")
    return words


def edit(request: HttpRequest) -> HttpResponse:
    """The panel: empty, of a rule (`rule`), or for the like of an alert (`alert`). POST saves it."""
    if request.method == "POST":
        return _save(request)
    user, form = user_of(request), Form()
    rule, like = (number(request.GET.get(name, "")) for name in ("rule", "alert"))
    if rule is not None:
        found = SuppressionRule.objects.visible_to(user).prefetch_related("environments")
        form = suppression_form.of_rule(get_object_or_404(found, pk=rule))
    elif like is not None:
        alerts = Alert.objects.visible_to(user).select_related("cluster", "binary")
        form = suppression_form.of_alert(get_object_or_404(alerts, pk=like))
    return _panel(request, form)


def _save(request: HttpRequest) -> HttpResponse:
    form = suppression_form.read(request.POST)
    try:
        rule = suppression.save(user_of(request), form.draft(), form.rule, form.revision)
    except Invalid as fault:
        form.fault = {fault.extra["field"]: str(fault.detail)}
        return _panel(request, form, 422)
    except ChangeConflict as conflict:
        form.fault = {"form": str(conflict.detail)}
        return _panel(request, form, 409)
    return _done(request, f"Suppression rule {rule.name} saved")


def delete(request: HttpRequest) -> HttpResponse:
    """Remove a rule (`rule`, `revision`)."""
    form = suppression_form.read(request.POST)
    try:
        suppression.delete(user_of(request), form.rule or 0, form.revision or 0)
    except ChangeConflict as conflict:
        messages.error(request, str(conflict.detail))
        return redirect("alerts:suppression")
    return _done(request, "Suppression rule deleted. What it dismissed stays dismissed.")


def simulate(request: HttpRequest) -> HttpResponse:
    """What the panel's rule would have dismissed in the last 30 days; nothing is changed."""
    form = suppression_form.read(request.POST)
    context: dict[str, Any] = {"most": suppression_preview.MAX_ALERTS}
    try:
        draft = form.draft()
        context["found"] = suppression_preview.preview_suppression(
            user_of(request), draft.conditions, draft.environments
        )
    except Invalid as fault:
        context["fault"] = str(fault.detail)
    return render(request, "alerts/suppression/simulation.html", context)


def _panel(request: HttpRequest, form: Form, status: int = 200) -> HttpResponse:
    environments = Environment.objects.visible_to(user_of(request)).filter(retired_at=None).order_by("name")
    context = {"form": form, "environments": environments, "reasons": suppression.REASONS}
    template = "alerts/suppression/panel.html" if is_htmx(request) else "alerts/suppression/edit.html"
    return render(request, template, context, status=status)


def _done(request: HttpRequest, said: str) -> HttpResponse:
    if not is_htmx(request):
        messages.success(request, said)
        return redirect("alerts:suppression")
    response = render(request, "alerts/message.html", {"said": said})
    response["HX-Retarget"], response["HX-Reswap"] = "#messages", "innerHTML"
    response["HX-Trigger-After-Swap"] = json.dumps({"suppression:changed": True, "panel:close": True})
    return response
