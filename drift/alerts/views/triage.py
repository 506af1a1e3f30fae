"""Changing alerts from the pages: status, undo, assignee, comments."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme

from accounts.models import User
from drift.alerts.actions import dismiss_ignored as silencing
from drift.alerts.actions import triage
from drift.alerts.actions.rule_from_alert import add_rule_to_draft, extend_allow_list
from drift.alerts.errors import ChangeConflict, Invalid
from drift.alerts.forms import triage as forms
from drift.alerts.models import CLOSED, Alert, Status
from drift.alerts.queries.filters import number
from drift.alerts.views.shared import is_htmx, user_of
from drift.policy import errors as policy_errors

View = Callable[..., HttpResponse]


def explains_refusals(view: View) -> View:
    """A refused change is told where the reviewer looks, and the page shows how things are now."""

    @wraps(view)
    def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            return view(request, *args, **kwargs)
        except (ChangeConflict, Invalid) as refusal:
            return _refused(request, refusal)

    return wrapped


def _refused(request: HttpRequest, refusal: ChangeConflict | Invalid) -> HttpResponse:
    if not is_htmx(request):
        messages.error(request, str(refusal.detail))
        return redirect(_next(request))
    response = render(request, "alerts/message.html", {"error": str(refusal.detail)}, status=refusal.status_code)
    response["HX-Retarget"], response["HX-Reswap"] = "#messages", "innerHTML"
    return _reloading(response)


def decide(request: HttpRequest) -> HttpResponse:
    """The panel that asks why, before alerts are resolved or dismissed. By POST too: they may be many."""
    data = request.POST if request.method == "POST" else request.GET
    status = Status(str(data["status"])) if data.get("status") in CLOSED else Status.DISMISSED
    return _panel(request, status, data.getlist("alert"))


def _panel(
    request: HttpRequest, status: Status, chosen: list[str], fault: Invalid | None = None, code: int = 200
) -> HttpResponse:
    context = {
        "status": status,
        "chosen": list(dict.fromkeys(chosen)),
        "reasons": forms.REASONS[status],
        "quiet": forms.QUIET if status == Status.DISMISSED else (),
        "data": request.POST,
        "fault": {fault.extra["field"]: str(fault.detail)} if fault else {},
        "next": _next(request),
    }
    template = "alerts/triage/panel.html" if is_htmx(request) else "alerts/triage/page.html"
    return render(request, template, context, status=code)


@explains_refusals
def status(request: HttpRequest) -> HttpResponse:
    """Give the chosen alerts (`alert=ID:REVISION`) a status; a closed one needs a reason."""
    try:
        decision = forms.decision(request.POST)
        decision.check()
    except Invalid as fault:
        asked = Status(request.POST["status"]) if request.POST.get("status") in CLOSED else None
        if asked is None:
            raise
        response = _panel(request, asked, request.POST.getlist("alert"), fault, 422)
        response["HX-Retarget"] = "#panel"
        return response
    alerts = triage.change_status(user_of(request), forms.revisions(request.POST), decision)
    return _changed(request, alerts, f"{_count(alerts)} set to {decision.status.label}", undo=True)


@explains_refusals
def dismiss_silenced(request: HttpRequest) -> HttpResponse:
    """After a Save: dismiss the open alerts that this `version` of the policy silences."""
    version = number(request.POST.get("version", "")) or 0
    alerts = silencing.dismiss_ignored_alerts(user_of(request), version)
    done = f"{_count(alerts)} dismissed as expected" if alerts else "No open alert was left to dismiss"
    return _changed(request, alerts, f"Saved as v{version}. {done}", undo=bool(alerts))


@explains_refusals
def undo(request: HttpRequest) -> HttpResponse:
    """Take back one's own last change of status of the chosen alerts."""
    alerts = triage.undo(user_of(request), forms.revisions(request.POST))
    return _changed(request, alerts, f"{_count(alerts)} put back")


@explains_refusals
def assign(request: HttpRequest) -> HttpResponse:
    """Give the chosen alerts to somebody (`assignee`: a user's number, "me", or nothing)."""
    wanted = request.POST.get("assignee", "")
    user = user_of(request)
    person = user if wanted == "me" else None
    pk = number(wanted)
    if pk is not None:
        person = get_object_or_404(User, pk=pk, is_active=True)
    alerts = triage.assign(user, forms.revisions(request.POST), person)
    return _changed(request, alerts, f"{_count(alerts)} {f'assigned to {person.name}' if person else 'unassigned'}")


@explains_refusals
def rule(request: HttpRequest, pk: int) -> HttpResponse:
    """Put a rule that ignores the alert's like in one's draft, and go to its panel on the policy page.

    `do=extend` puts the file on the allow list of the rule that decided instead.
    """
    alerts = Alert.objects.visible_to(user_of(request)).select_related("binary", "cluster__environment")
    change = extend_allow_list if request.POST.get("do") == "extend" else add_rule_to_draft
    try:
        rule_id = change(user_of(request), get_object_or_404(alerts, pk=pk))
    except (policy_errors.PolicyConflict, policy_errors.DocumentInvalid) as refusal:
        raise ChangeConflict(str(refusal.detail)) from None
    return redirect(f"{reverse('policy:rule')}?rule={rule_id}")


@explains_refusals
def comment(request: HttpRequest, pk: int) -> HttpResponse:
    """Add a comment (Markdown, `text`) to an alert's timeline."""
    alert = get_object_or_404(Alert.objects.visible_to(user_of(request)), pk=pk)
    triage.comment(user_of(request), alert, request.POST.get("text", ""))
    return _changed(request, [alert], "Comment added")


def _count(alerts: list[Alert]) -> str:
    return "1 alert" if len(alerts) == 1 else f"{len(alerts)} alerts"


def _changed(request: HttpRequest, alerts: list[Alert], said: str, *, undo: bool = False) -> HttpResponse:
    """What was done, with a button to undo it; the page loads its parts again."""
    if not is_htmx(request):
        messages.success(request, said)
        return redirect(_next(request))
    context = {"said": said, "undo": alerts if undo else [], "next": _next(request)}
    return _reloading(render(request, "alerts/message.html", context))


def _reloading(response: HttpResponse) -> HttpResponse:
    # After the swap: closing the panel removes the form that htmx would look for the target from.
    response["HX-Trigger-After-Swap"] = json.dumps({"alerts:changed": True, "panel:close": True})
    return response


def _next(request: HttpRequest) -> str:
    wanted = request.POST.get("next") or request.GET.get("next") or ""
    safe = url_has_allowed_host_and_scheme(wanted, allowed_hosts=None) and wanted.startswith("/")
    return wanted if safe else "/alerts/"
