"""What a change of the policy would have done in the last days: a part of every page that shows the change."""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.text import slugify

from drift.alerts.queries.query_limits import QueryLimit
from drift.alerts.queries.rule_hits import stored_days
from drift.backtest.queries.quick_comparison import quick_comparison
from drift.policy.domain.rule_changes import pair_digest, rule_changes
from drift.policy.queries.compared import compared
from drift.web.requests import is_fragment, signed_in_user


def effect(request: HttpRequest) -> HttpResponse:
    """Show the effect of the pair `?of=` in all, and out of band beside each of its changed rules.

    `?shown=` is the pair that the page shows (`pair_digest`): numbers of another one would stand beside wrong rules.
    Without htmx a page of its own.
    """
    user = signed_in_user(request)
    name = request.GET.get("of", "")
    pair = compared(user, name)
    if pair is None:
        raise Http404
    shown = request.GET.get("shown", "")
    is_default = name.startswith("default:")
    context = {"days": stored_days(), "name": slugify(name), "is_default": is_default, "is_part": is_fragment(request)}
    template = "backtest/effect.html" if context["is_part"] else "backtest/effect_page.html"
    if shown and shown != pair_digest(pair.before, pair.after):
        return render(request, template, context | {"is_stale": True})
    found = quick_comparison(user, pair.before, pair.after, rule_changes(pair.before, pair.after))
    if isinstance(found, QueryLimit):
        return render(request, template, context | {"limit": found})
    counted = {"result": found.result, "found": found.changes, "all": found.workloads}
    return render(request, template, context | counted)
