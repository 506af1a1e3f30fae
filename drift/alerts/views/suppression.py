"""The page of suppression rules, and the panel that edits one."""

from __future__ import annotations

import json
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render

from drift.alerts.actions import suppression_rules
from drift.alerts.domain.suppression_match import OPERATORS, PROPERTIES
from drift.alerts.errors import ChangeConflict, Invalid, OutOfScope
from drift.alerts.forms.suppression import SuppressionForm
from drift.alerts.models import Alert, SuppressionRule
from drift.alerts.queries.places import visible_environments
from drift.alerts.queries.suppression_preview import MAX_ALERTS, SuppressionPreview, preview_suppression
from drift.alerts.queries.suppression_scope import counted_rules, last_change, visible_rule
from drift.web.requests import bounded_int, is_fragment, signed_in_user
from sensor.names.visible_text import visible_text


def rules(request: HttpRequest) -> HttpResponse:
    """Show the rules with their hits; as a fragment, the list alone."""
    user = signed_in_user(request)
    rows = [(each, _condition_lines(each.rule)) for each in counted_rules(user)]
    template = "alerts/suppression/page.html#rules" if is_fragment(request) else "alerts/suppression/page.html"
    return render(request, template, {"rows": rows, "can_triage": user.can_triage})


def _condition_lines(rule: SuppressionRule) -> list[str]:
    lines = []
    for each in rule.conditions:
        values = " or ".join(
            f"{OPERATORS[one['operator']].lower()} “{visible_text(one['value'])}”" for one in each["any_of"]
        )
        lines.append(f"{PROPERTIES[each['property']]} {values}")
    return lines


def edit(request: HttpRequest) -> HttpResponse:
    """Show the panel: empty, for a rule (`rule`), or for alerts similar to one (`alert`). POST saves it."""
    if request.method == "POST":
        return _save(request)
    user, form = signed_in_user(request), SuppressionForm()
    rule, alert = (bounded_int(request.GET.get(name, "")) for name in ("rule", "alert"))
    if rule is not None:
        found = visible_rule(user, rule)
        if found is None:
            raise Http404
        if not found.is_own:
            return _not_own(request)
        form = SuppressionForm.from_rule(found.rule)
    elif alert is not None:
        alerts = Alert.objects.visible_to(user).select_related("cluster", "binary", "workload")
        form = SuppressionForm.from_alert(get_object_or_404(alerts, pk=alert))
    return _panel(request, form)


def _not_own(request: HttpRequest) -> HttpResponse:
    """Refuse to show a rule that the user may not change, in the words of a change."""
    if not is_fragment(request):
        raise PermissionDenied(suppression_rules.NOT_OWN)
    # Not 403, which is not swapped: the page would say that the role does not allow it.
    return _message(request, {"error": suppression_rules.NOT_OWN}, 409)


def _save(request: HttpRequest) -> HttpResponse:
    form = SuppressionForm.read(request.POST)
    try:
        rule = suppression_rules.save(signed_in_user(request), form.draft(), form.rule, form.revision, form.reviewed)
    except suppression_rules.ReviewRequired as required:
        form.errors = {"reviewed": "Look at what the rule would have dismissed, then apply it."}
        return _panel(request, form, 422, required.preview)
    except Invalid as error:
        form.errors = {error.extra["field"]: str(error.detail)}
        return _panel(request, form, 422)
    except ChangeConflict:
        return _conflicted(request, form)
    except OutOfScope as error:
        form.errors = {"form": str(error.detail)}
        return _panel(request, form, 422)  # a 403 is not swapped
    return _changed(request, f"Suppression rule {rule.name} saved")


def _conflicted(request: HttpRequest, form: SuppressionForm) -> HttpResponse:
    """Show how the rule is now, and keep what was typed: to be applied to it as it is, or as a new rule."""
    now = visible_rule(signed_in_user(request), form.rule or 0)
    if now is None:
        form.rule = form.revision = None
        form.errors = {"form": "Someone deleted this rule. What you typed is kept: Apply creates it again."}
        return _panel(request, form, 409)
    form.revision = now.rule.revision
    form.errors = {"form": f"{_changed_by(now.rule)} What you typed is kept: Apply replaces it."}
    return _panel(request, form, 409, now=now.rule)


def delete(request: HttpRequest) -> HttpResponse:
    """Delete a rule (`rule`, `revision`)."""
    form = SuppressionForm.read(request.POST)
    try:
        suppression_rules.delete(signed_in_user(request), form.rule or 0, form.revision or 0)
    except (ChangeConflict, OutOfScope) as error:
        return _not_deleted(request, form, error)
    return _changed(request, "Suppression rule deleted. Alerts that it dismissed stay dismissed.")


def _not_deleted(request: HttpRequest, form: SuppressionForm, error: ChangeConflict | OutOfScope) -> HttpResponse:
    """Show why, beside the list with the rule as it is now."""
    reason = str(error.detail)
    if isinstance(error, ChangeConflict):
        now = visible_rule(signed_in_user(request), form.rule or 0)
        reason = f"{_changed_by(now.rule)} Nothing was deleted." if now else "Someone else has deleted this rule."
    if not is_fragment(request):
        messages.error(request, reason)
        return redirect("alerts:suppression")
    response = render(request, "alerts/message.html", {"error": reason}, status=409)  # a 403 is not swapped
    response["HX-Trigger-After-Swap"] = json.dumps({"suppression:changed": True})
    return response


def _changed_by(rule: SuppressionRule) -> str:
    who, at = last_change(rule)
    return f"{who} changed this rule at {at:%Y-%m-%d %H:%M} UTC."


def simulate(request: HttpRequest) -> HttpResponse:
    """Show what the panel's rule would have dismissed in the last 30 days. Nothing is changed."""
    form = SuppressionForm.read(request.POST)
    user = signed_in_user(request)
    context: dict[str, Any] = {"limit": MAX_ALERTS, "form": form}
    source = Alert.objects.visible_to(user).filter(pk=form.alert).values_list("fingerprint", flat=True).first()
    try:
        draft = form.draft()
        draft.check_conditions()
        context["found"] = preview_suppression(
            user,
            draft.conditions,
            draft.environments,
            covers_new_content=draft.covers_new_content,
            source=source,
        )
    except Invalid as error:
        context["error"] = str(error.detail)
    return render(request, "alerts/suppression/simulation.html", context)


def _panel(
    request: HttpRequest,
    form: SuppressionForm,
    status: int = 200,
    found: SuppressionPreview | None = None,
    *,
    now: SuppressionRule | None = None,
) -> HttpResponse:
    environments = visible_environments(signed_in_user(request)).filter(retired_at=None).order_by("name")
    context = {
        "form": form,
        "environments": environments,
        "reasons": suppression_rules.REASONS,
        "found": found,
        "limit": MAX_ALERTS,
        "now": now,
        "now_lines": _condition_lines(now) if now else [],
    }
    template = "alerts/suppression/panel.html" if is_fragment(request) else "alerts/suppression/edit.html"
    return render(request, template, context, status=status)


def _changed(request: HttpRequest, message: str) -> HttpResponse:
    if not is_fragment(request):
        messages.success(request, message)
        return redirect("alerts:suppression")
    response = _message(request, {"message": message})
    response["HX-Trigger-After-Swap"] = json.dumps({"suppression:changed": True, "panel:close": True})
    return response


def _message(request: HttpRequest, context: dict[str, str], status: int = 200) -> HttpResponse:
    """Return a fragment that goes among the page's messages, whatever it was requested for."""
    response = render(request, "alerts/message.html", context, status=status)
    response["HX-Retarget"], response["HX-Reswap"] = "#messages", "innerHTML"
    return response
