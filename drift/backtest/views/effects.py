"""What a change of the policy would have done in the last days: a part of every page that shows the change."""

from __future__ import annotations

from typing import NamedTuple

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.text import slugify

from accounts.models import User
from drift.alerts.queries.matched_workloads import matched_workloads
from drift.alerts.queries.query_limits import QueryLimit
from drift.backtest.domain.change_effects import ChangeEffect, change_effects
from drift.backtest.domain.result import Result
from drift.backtest.queries.quick_comparison import DAYS, quick_comparison
from drift.policy.domain.rule_changes import RuleChange, pair_digest, rule_changes
from drift.policy.queries.compared import compared
from drift.web.requests import is_fragment, signed_in_user


class Matched(NamedTuple):
    """How many workloads the scope of a changed rule matches: before and after, None where there is no rule."""

    before: int | None
    after: int | None

    @property
    def is_same(self) -> bool:
        """Whether one number says it: the other is the same, or there is none."""
        return None in self or self.before == self.after

    @property
    def shown(self) -> int | None:
        """The number after, or before where the rule was removed."""
        return self.before if self.after is None else self.after


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
    context = {"days": DAYS, "name": slugify(name), "is_default": is_default, "is_part": is_fragment(request)}
    template = "backtest/effect.html" if context["is_part"] else "backtest/effect_page.html"
    if shown and shown != pair_digest(pair.before, pair.after):
        return render(request, template, context | {"is_stale": True})
    changes = rule_changes(pair.before, pair.after)
    result = quick_comparison(user, pair.before, pair.after)
    if isinstance(result, QueryLimit):
        return render(request, template, context | {"limit": result})
    found, workloads = _found(user, result, changes)
    return render(request, template, context | {"result": result, "found": found, "all": workloads})


def _found(
    user: User, result: Result, changes: list[RuleChange]
) -> tuple[list[tuple[RuleChange, ChangeEffect, Matched]], int]:
    """Return each change with its effect and the workloads that its scope matches, and the number of all workloads."""
    before = [{**each.before, "id": f"before {each.rule}"} for each in changes if each.before]
    after = [{**each.after, "id": f"after {each.rule}"} for each in changes if each.after]
    workloads = matched_workloads(user, [*before, *after])
    counts = workloads.by_rule
    matched = [Matched(counts.get(f"before {each.rule}"), counts.get(f"after {each.rule}")) for each in changes]
    return list(zip(changes, change_effects(result, changes), matched, strict=True)), workloads.total
