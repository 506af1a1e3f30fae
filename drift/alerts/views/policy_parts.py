"""What the policy page asks about events and alerts, by URL: policy imports nothing of alerts."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render

from drift.alerts.actions.dismiss_ignored import MAX_DISMISSED
from drift.alerts.queries import ignored_alerts as silencing
from drift.alerts.queries import rule_effect as deciding
from drift.alerts.queries import rule_hits
from drift.alerts.queries import value_suggestions as suggesting
from drift.alerts.views.shared import user_of
from drift.policy.domain import edits
from drift.policy.errors import DocumentInvalid, UnknownRule
from drift.policy.forms.rule import read_rule
from drift.policy.queries.drafts import draft_state, visible_state
from sensor.policy import DEFAULT_RULE


def hits(request: HttpRequest) -> JsonResponse:
    """Execs of the last days by rule of the list (an id, or "default"), and when each last decided one."""
    user = user_of(request)
    listed = [rule["id"] for rule in visible_state(user).document["rules"]]
    found = rule_hits.hits_by_rule(user, [*listed, DEFAULT_RULE])
    rules = {rule: {"execs": each.execs, "last_at": each.last_at.isoformat()} for rule, each in found.items()}
    return JsonResponse(
        {"days": rule_hits.DAYS, "rules": rules, "ignored_by_default": rule_hits.ignored_by_default(user)}
    )


def values(request: HttpRequest) -> JsonResponse:
    """Values of `property` that the estate has and that have `typed` in them."""
    typed = request.GET.get("typed", "")[: suggesting.LONGEST]
    return JsonResponse({"values": suggesting.suggestions(user_of(request), request.GET.get("property", ""), typed)})


def silenced_by_rule(request: HttpRequest) -> HttpResponse:
    """The open alerts that the rule in the panel, as typed, would silence; empty while it cannot be applied."""
    user, typed = user_of(request), read_rule(request.POST)
    state = draft_state(user)
    try:
        rule_id, document = edits.with_rule(state.document, typed)
    except (DocumentInvalid, UnknownRule):
        return HttpResponse()
    found = silencing.silenced(user, state.latest, document, rule_id)
    return render(
        request,
        "alerts/rule_preview/ignored_alerts.html",
        {"found": found, "examples": found.examples(user), "action": typed["action"], "most": silencing.LOOKED_AT},
    )


def silenced_by_draft(request: HttpRequest) -> HttpResponse:
    """The choice, beside Save, to dismiss the open alerts that the draft silences; empty where it silences none."""
    user = user_of(request)
    state = draft_state(user)
    if not state.is_dirty or not user.can_edit_policy:
        return HttpResponse()
    found = silencing.silenced(user, state.latest, state.document)
    context = {"count": min(found.count, MAX_DISMISSED), "is_partial": found.is_partial or found.count > MAX_DISMISSED}
    return render(request, "alerts/rule_preview/dismiss_choice.html", context)


def decided_by_rule(request: HttpRequest) -> HttpResponse:
    """How many of the last days' events the rule in the panel, as typed, would decide; empty while it has faults."""
    user = user_of(request)
    try:
        rule_id, document = edits.with_rule(draft_state(user).document, read_rule(request.POST))
    except (DocumentInvalid, UnknownRule):
        return HttpResponse()
    found = deciding.decided_by(user, document, rule_id)
    return render(request, "alerts/rule_preview/decided_events.html", {"found": found, "asked": rule_hits.DAYS})
