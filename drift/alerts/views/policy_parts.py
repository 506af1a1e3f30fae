"""What the policy page asks about events and alerts, by URL: policy imports nothing of alerts."""

from __future__ import annotations

from django.http import HttpRequest, JsonResponse

from drift.alerts import rule_hits, suggesting
from drift.alerts.views.shared import user_of


def hits(request: HttpRequest) -> JsonResponse:
    """Execs of the last days by rule (an id, or "default"), and when each last decided one, however long ago."""
    user = user_of(request)
    found = rule_hits.hits_by_rule(user)
    rules = {rule: {"execs": each.execs, "last_at": each.last_at.isoformat()} for rule, each in found.items()}
    return JsonResponse(
        {"days": rule_hits.DAYS, "rules": rules, "ignored_by_default": rule_hits.ignored_by_default(user)}
    )


def values(request: HttpRequest) -> JsonResponse:
    """Values of `property` that the estate has and that have `typed` in them."""
    typed = request.GET.get("typed", "")[: suggesting.LONGEST]
    return JsonResponse({"values": suggesting.suggestions(user_of(request), request.GET.get("property", ""), typed)})
