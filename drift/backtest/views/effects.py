"""What a change of the policy would have done in the last days: a part of every page that shows the change."""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.text import slugify

from drift.alerts.queries.matched_workloads import matched_workloads
from drift.alerts.queries.query_limits import QueryLimit
from drift.backtest.domain.change_effects import change_effects
from drift.backtest.queries.quick_comparison import DAYS, quick_comparison
from drift.policy.domain.rule_changes import rule_changes
from drift.policy.queries.compared import compared
from drift.web.requests import signed_in_user


def effect(request: HttpRequest) -> HttpResponse:
    """Show the effect of the pair `?of=` in all, and out of band beside each of its changed rules."""
    user = signed_in_user(request)
    name = request.GET.get("of", "")
    pair = compared(user, name)
    if pair is None:
        raise Http404
    changes = rule_changes(pair.before, pair.after)
    result = quick_comparison(user, pair.before, pair.after)
    context = {"days": DAYS, "name": slugify(name), "is_default": name.startswith("default:")}
    if isinstance(result, QueryLimit):
        return render(request, "backtest/effect.html", context | {"limit": result})
    rules = [change.after for change in changes if change.after is not None]
    workloads = matched_workloads(user, rules)
    found = [
        (change, each, workloads.by_rule.get(change.rule))
        for change, each in zip(changes, change_effects(result, changes), strict=True)
    ]
    return render(request, "backtest/effect.html", context | {"result": result, "found": found, "all": workloads.total})
