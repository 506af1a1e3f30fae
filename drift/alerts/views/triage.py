"""Change alerts from the pages: status, undo, assignee, comments, and the rule from an alert."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme

from drift.alerts.actions import triage
from drift.alerts.actions.dismiss_ignored import dismiss_ignored_alerts
from drift.alerts.actions.rule_from_alert import add_rule_to_draft, extend_allow_list
from drift.alerts.errors import AlertsChanged, ChangeConflict, Invalid
from drift.alerts.forms.filters import read_filters
from drift.alerts.forms.triage import REVIEWER_RESOLUTIONS, SNOOZES, read_revisions, read_status_change
from drift.alerts.models import CLOSED, Alert, Status
from drift.alerts.queries.chosen_incidents import with_alerts_of_incidents
from drift.alerts.queries.colleagues import colleague
from drift.policy import errors as policy_errors
from drift.web.requests import bounded_int, is_fragment, signed_in_user

View = Callable[..., HttpResponse]
MAX_SHOWN = 20
"""Alerts that a conflict shows; the others are counted."""
MAX_ADDRESSES = 3
"""Addresses that a message names."""


def shows_rejections(view: View) -> View:
    """Show why a change was rejected, with what was sent, to be applied again to what others changed first."""

    @wraps(view)
    def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            return view(request, *args, **kwargs)
        except AlertsChanged as conflict:
            return _conflicted(request, conflict)
        except (ChangeConflict, Invalid) as error:
            return _rejected(request, error)

    return wrapped


def takes_incidents(view: View) -> View:
    """Let incidents be chosen beside alerts: each stands for its alerts that the page showed with its `filters`."""

    @wraps(view)
    def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        filters = read_filters(QueryDict(request.POST.get("filters", "")))
        data = QueryDict(request.POST.urlencode(), mutable=True)
        data.setlist("alert", with_alerts_of_incidents(signed_in_user(request), data.getlist("alert"), filters))
        request.POST = data  # type: ignore[assignment]
        return view(request, *args, **kwargs)

    return wrapped


def _rejected(request: HttpRequest, error: ChangeConflict | Invalid) -> HttpResponse:
    if not is_fragment(request):
        messages.error(request, str(error.detail))
        return redirect(_next_page(request))
    response = render(request, "alerts/message.html", {"error": str(error.detail)}, status=error.status_code)
    response["HX-Retarget"], response["HX-Reswap"] = "#messages", "innerHTML"
    # What is not valid changed nothing, and reloading would discard what was typed.
    return _reloading(response) if isinstance(error, ChangeConflict) else response


def _conflicted(request: HttpRequest, conflict: AlertsChanged) -> HttpResponse:
    """Offer to apply the same change to the alerts as they are now. Nothing that was typed is lost."""
    seen = [f"{pk}:{revision}" for pk, revision in conflict.renewed(read_revisions(request.POST)).items()]
    requested = request.POST.get("status")
    if requested in CLOSED:
        response = _panel(request, Status(requested), seen, conflict=conflict, code=conflict.status_code)
        response["HX-Retarget"], response["HX-Reswap"] = "#panel", "innerHTML"
        response["HX-Trigger-After-Swap"] = json.dumps({"alerts:changed": True})
        return response
    context = {
        "conflict": conflict,
        "seen": seen,
        "action": request.path,
        "sent": [(name, request.POST[name]) for name in ("status", "assignee", "version") if name in request.POST],
        # What was undone by someone else already is no longer the user's to undo.
        "can_retry": (seen or "version" in request.POST) and request.path != reverse("alerts:undo"),
        "next": _next_page(request),
        "max_shown": MAX_SHOWN,
    }
    if not is_fragment(request):
        return render(request, "alerts/triage/conflict_page.html", context, status=conflict.status_code)
    response = render(request, "alerts/triage/conflict.html", context, status=conflict.status_code)
    response["HX-Retarget"], response["HX-Reswap"] = "#messages", "innerHTML"
    return _reloading(response)


@shows_rejections
@takes_incidents
def resolution_panel(request: HttpRequest) -> HttpResponse:
    """Show the panel that requests a resolution, before alerts are closed."""
    # By POST too: the selected alerts may be too many for a URL.
    data = request.POST if request.method == "POST" else request.GET
    status = Status(str(data["status"])) if data.get("status") in CLOSED else Status.DISMISSED
    return _panel(request, status, data.getlist("alert"))


def _panel(
    request: HttpRequest,
    status: Status,
    chosen: list[str],
    error: Invalid | None = None,
    *,
    conflict: AlertsChanged | None = None,
    code: int = 200,
) -> HttpResponse:
    context = {
        "status": status,
        "chosen": list(dict.fromkeys(chosen)),
        "resolutions": REVIEWER_RESOLUTIONS[status],
        "snoozes": SNOOZES if status == Status.DISMISSED else (),
        "data": request.POST,
        "errors": {error.extra["field"]: str(error.detail)} if error else {},
        "next": _next_page(request),
        "conflict": conflict,
        "max_shown": MAX_SHOWN,
    }
    template = "alerts/triage/panel.html" if is_fragment(request) else "alerts/triage/page.html"
    return render(request, template, context, status=code)


@shows_rejections
@takes_incidents
def status(request: HttpRequest) -> HttpResponse:
    """Give the chosen alerts (`alert=ID:REVISION`) a status; a closed one needs a resolution."""
    try:
        change = read_status_change(request.POST)
        change.check()
    except Invalid as error:
        requested = request.POST.get("status")
        if requested not in CLOSED:
            raise
        response = _panel(request, Status(requested), request.POST.getlist("alert"), error, code=422)
        response["HX-Retarget"] = "#panel"
        return response
    alerts = triage.change_status(signed_in_user(request), read_revisions(request.POST), change)
    return _changed(request, alerts, f"{_count(alerts)} set to {change.status.label}", undo=True)


@shows_rejections
def dismiss_ignored(request: HttpRequest) -> HttpResponse:
    """After a policy Save: dismiss the open alerts that this `version` ignores."""
    version = bounded_int(request.POST.get("version", "")) or 0
    alerts = dismiss_ignored_alerts(signed_in_user(request), version)
    done = f"{_count(alerts)} dismissed as expected" if alerts else "No open alerts were left to dismiss"
    return _changed(request, alerts, f"Saved as v{version}. {done}", undo=bool(alerts))


@shows_rejections
def undo(request: HttpRequest) -> HttpResponse:
    """Undo the user's own last change of status of the chosen alerts."""
    alerts = triage.undo(signed_in_user(request), read_revisions(request.POST))
    return _changed(request, alerts, f"{_count(alerts)} restored")


@shows_rejections
@takes_incidents
def assign(request: HttpRequest) -> HttpResponse:
    """Assign the chosen alerts (`assignee`: a user's number, "me", or empty)."""
    wanted = request.POST.get("assignee", "")
    user = signed_in_user(request)
    assignee = user if wanted == "me" else None
    chosen = read_revisions(request.POST)
    pk = bounded_int(wanted)
    if pk is not None:
        assignee = colleague(user, pk, chosen)
        if assignee is None:
            raise Http404
    alerts = triage.assign(user, chosen, assignee)
    return _changed(request, alerts, f"{_count(alerts)} {f'assigned to {assignee.name}' if assignee else 'unassigned'}")


@shows_rejections
def rule(request: HttpRequest, pk: int) -> HttpResponse:
    """Add a rule that ignores similar alerts to the user's draft, and open its panel on the policy page.

    With `do=extend`, the file goes on the allow list of the rule that decided instead. A file that could not be hashed
    needs `any_content`.
    """
    alerts = Alert.objects.visible_to(signed_in_user(request))
    alerts = alerts.select_related("binary", "workload", "cluster__environment")
    change = extend_allow_list if request.POST.get("do") == "extend" else add_rule_to_draft
    try:
        alert = get_object_or_404(alerts, pk=pk)
        rule_id = change(signed_in_user(request), alert, any_content="any_content" in request.POST)
    except (policy_errors.PolicyConflict, policy_errors.DocumentInvalid) as error:
        raise ChangeConflict(str(error.detail)) from None
    return redirect(f"{reverse('policy:rule')}?rule={rule_id}")


@shows_rejections
def comment(request: HttpRequest, pk: int) -> HttpResponse:
    """Add a comment (Markdown, `text`) to an alert's timeline."""
    alert = get_object_or_404(Alert.objects.visible_to(signed_in_user(request)), pk=pk)
    try:
        _, unknown = triage.comment(signed_in_user(request), alert, request.POST.get("text", ""))
    except Invalid as error:
        if is_fragment(request):
            raise
        context = {"alert": alert, "error": str(error.detail), "text": request.POST.get("text", "")}
        return render(request, "alerts/triage/comment_page.html", context, status=error.status_code)
    return _changed(request, [alert], f"Comment added{_not_notified(unknown)}")


def _not_notified(addresses: list[str]) -> str:
    if not addresses:
        return ""
    several = f"{', '.join(addresses[:MAX_ADDRESSES])}{', …' if len(addresses) > MAX_ADDRESSES else ''}"
    return f". Not notified, because nobody with this address can see the alert: {several}"


def _count(alerts: list[Alert]) -> str:
    return "1 alert" if len(alerts) == 1 else f"{len(alerts)} alerts"


def _changed(request: HttpRequest, alerts: list[Alert], message: str, *, undo: bool = False) -> HttpResponse:
    """Confirm a change with a button to undo it, and reload the page's content."""
    if not is_fragment(request):
        messages.success(request, message)
        return redirect(_next_page(request))
    context = {"message": message, "undo": alerts if undo else [], "next": _next_page(request)}
    return _reloading(render(request, "alerts/message.html", context))


def _reloading(response: HttpResponse) -> HttpResponse:
    # After the swap: closing the panel removes the form in which htmx looks for its target.
    response["HX-Trigger-After-Swap"] = json.dumps({"alerts:changed": True, "panel:close": True})
    return response


def _next_page(request: HttpRequest) -> str:
    wanted = request.POST.get("next") or request.GET.get("next") or ""
    is_safe = url_has_allowed_host_and_scheme(wanted, allowed_hosts=None) and wanted.startswith("/")
    return wanted if is_safe else "/alerts/"
