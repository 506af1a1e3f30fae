"""The policy page's previews of events and alerts. The page loads them by URL, as policy must not import alerts."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render

from drift.alerts.actions.dismiss_ignored import MAX_DISMISSED
from drift.alerts.queries import rule_hits
from drift.alerts.queries.ignored_alerts import EXAMPLES, MAX_EVALUATED, ignored_true_positives, newly_ignored_alerts
from drift.alerts.queries.matched_workloads import rule_counts, workloads_in_time
from drift.alerts.queries.query_limits import QueryLimit, StatementTimeout
from drift.alerts.queries.unreported_facts import unreported_facts
from drift.alerts.queries.value_suggestions import MAX_TYPED, suggestions
from drift.alerts.queries.would_block import would_block
from drift.policy.domain import edits
from drift.policy.domain.diff import DEFAULT_NAME
from drift.policy.domain.trusted_writers import let_through
from drift.policy.errors import DocumentInvalid, UnknownRule
from drift.policy.forms.rule import read_rule
from drift.policy.queries.drafts import draft_state, visible_state
from drift.policy.queries.versions import latest_version
from drift.web.requests import signed_in_user
from sensor.policy import DEFAULT_RULE, PROVIDERS
from sensor.policy.decisions import blocking_rules, default_rule


def hits(request: HttpRequest) -> JsonResponse:
    """Return how many execs each listed rule (an id, or "default") decided in the last days, and when it last did.

    Null where that is not known: hits are counted by cluster, and the user sees single namespaces.
    """
    user = signed_in_user(request)
    if not rule_hits.are_hits_known(user):
        return JsonResponse({"days": rule_hits.DAYS, "rules": None, "ignored_by_default": None})
    listed = [rule["id"] for rule in visible_state(user).document["rules"]]
    found = rule_hits.hits_by_rule(user, [*listed, DEFAULT_RULE])
    rules = {rule: {"execs": each.execs, "last_at": each.last_at.isoformat()} for rule, each in found.items()}
    return JsonResponse(
        {"days": rule_hits.DAYS, "rules": rules, "ignored_by_default": rule_hits.ignored_by_default(user)}
    )


def workloads(request: HttpRequest) -> JsonResponse:
    """Return how many workloads of the last days each listed rule's scope matches, and how many there are.

    Null where they were not counted, with the `limit` that counting met.
    """
    user = signed_in_user(request)
    found = workloads_in_time(user, visible_state(user).document["rules"])
    if isinstance(found, QueryLimit):
        limit = {"limit": found, "is_busy": found.is_busy}
        return JsonResponse({"days": rule_hits.DAYS, "total": None, "rules": None, **limit})
    return JsonResponse({"days": rule_hits.DAYS, "total": found.total, "rules": found.by_rule})


def blocked_by_dry_runs(request: HttpRequest) -> HttpResponse:
    """Show what the draft's dry runs would have blocked; `?rule=` shows one. Empty where there are none."""
    user = signed_in_user(request)
    document = visible_state(user).document
    rules = [rule for rule in (*document["rules"], default_rule(document)) if rule.get("dry_run")]
    wanted = request.GET.get("rule")
    names = {rule["id"]: rule.get("name", DEFAULT_NAME) for rule in rules if wanted in (None, rule["id"])}
    if not names:
        return HttpResponse()
    context: dict[str, object] = {"days": rule_hits.stored_days(), "is_one": wanted is not None}
    try:
        context["found"] = [(names[each.rule], each) for each in would_block(user, names)]
    except StatementTimeout:
        context["is_late"] = True
    return render(request, "alerts/rule_preview/would_block.html", context)


def values(request: HttpRequest) -> JsonResponse:
    """Return values of `property` that exist in the estate and contain `typed`."""
    typed = request.GET.get("typed", "")[:MAX_TYPED]
    return JsonResponse({"values": suggestions(signed_in_user(request), request.GET.get("property", ""), typed)})


def ignored_by_rule(request: HttpRequest) -> HttpResponse:
    """Show the open alerts that the rule in the panel, as typed, would ignore; empty while it is invalid."""
    user, typed = signed_in_user(request), read_rule(request.POST)
    state = draft_state(user)
    try:
        rule_id, document = edits.with_rule(state.document, typed)
    except (DocumentInvalid, UnknownRule):
        return HttpResponse()
    found = newly_ignored_alerts(user, state.latest, document, rule_id)
    attacks = ignored_true_positives(user, document, rule_id)
    context = {
        "found": found,
        "examples": found.examples(user),
        "limit": MAX_EVALUATED,
        "attacks": attacks,
        "named_attacks": attacks[:EXAMPLES],
    }
    return render(request, "alerts/rule_preview/ignored_alerts.html", context)


def ignored_by_draft(request: HttpRequest) -> HttpResponse:
    """Show the choice, beside Save, to dismiss the open alerts that the draft ignores; empty where there are none."""
    user = signed_in_user(request)
    state = draft_state(user)
    if not state.is_dirty or not user.can_edit_policy:
        return HttpResponse()
    found = newly_ignored_alerts(user, state.latest, state.document)
    is_partial = found.is_partial or found.count > MAX_DISMISSED
    context = {"count": min(found.count, MAX_DISMISSED), "is_partial": is_partial}
    return render(request, "alerts/rule_preview/dismiss_choice.html", context)


def decided_by_rule(request: HttpRequest) -> HttpResponse:
    """Show how many of the last days' executions the rule in the panel would decide; empty while it is invalid.

    Where another count of the user is running, a part that the script requests again (`data-again`).
    """
    user = signed_in_user(request)
    try:
        rule_id, document = edits.with_rule(draft_state(user).document, read_rule(request.POST))
    except (DocumentInvalid, UnknownRule):
        return HttpResponse()
    rule = next(rule for rule in document["rules"] if rule["id"] == rule_id)
    counts = rule_counts(user, document, rule)
    context = {
        "limit": counts if isinstance(counts, QueryLimit) else None,
        "counts": counts,
        "days": rule_hits.DAYS,
        "event_days": rule_hits.stored_days(),
        "unreported": unreported_facts(user, rule),
        "let_through": let_through(rule),
    }
    return render(request, "alerts/rule_preview/decided_events.html", context)


def blocked_workloads(request: HttpRequest) -> HttpResponse:
    """Show how many workloads the latest version's blocking rules match; a default rule that blocks matches all."""
    everywhere = {"cloud_scope": [{"provider": provider} for provider in PROVIDERS], "resource_scope": []}
    rules = [{**everywhere, **rule} for rule in blocking_rules(latest_version().document)]
    found = workloads_in_time(signed_in_user(request), rules)
    context = {"limit": found if isinstance(found, QueryLimit) else None, "found": found, "days": rule_hits.DAYS}
    return render(request, "alerts/rule_preview/workloads.html", context)
