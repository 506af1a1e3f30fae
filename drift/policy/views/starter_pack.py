"""The starter pack: a panel of suggested rules to add to the draft."""

from __future__ import annotations

from itertools import groupby
from operator import attrgetter

from django.http import HttpRequest, HttpResponse

from drift.policy.actions.drafts import change_draft
from drift.policy.domain import edits
from drift.policy.domain.starter_rules import starter_rules
from drift.policy.views.responses import explains_errors, list_response, panel_response, posted_draft, shown_state
from sensor.policy import describe_rule


@explains_errors
def starter(request: HttpRequest) -> HttpResponse:
    """GET the panel; POST adds the chosen rules (`rule`, their keys), disabled, above the default rule."""
    if request.method != "POST":
        return _panel(request)
    wanted = set(request.POST.getlist("rule"))
    chosen = [each.rule for each in starter_rules() if each.key in wanted]
    if not chosen:
        return _panel(request, "Choose at least one rule.", 422)
    before = posted_draft(request)
    state = change_draft(before, edits.add_rules(chosen), "Starter pack added")
    added = len(state.document["rules"]) - len(before.document["rules"])
    # Rules whose names are taken were left out.
    rest = "; the others are already in your draft" if added < len(chosen) else ""
    message = f"{added} rule{'' if added == 1 else 's'} of the starter pack added, disabled{rest}"
    return list_response(request, state, message, closes_panel=True, can_undo=True)


def _panel(request: HttpRequest, refusal: str = "", status: int = 200) -> HttpResponse:
    state = shown_state(request)
    taken = {rule["name"].casefold() for rule in state.document["rules"]}
    groups = [
        (heading, [(each, _enabled_words(each.rule), each.rule["name"].casefold() in taken) for each in offered])
        for heading, offered in groupby(starter_rules(), key=attrgetter("group"))
    ]
    return panel_response(
        request, state, "policy/starter_pack/panel.html", {"groups": groups, "refusal": refusal}, status
    )


def _enabled_words(rule: edits.Rule) -> str:
    """Return the effect of the rule once enabled, in plain words."""
    return describe_rule({**rule, "enabled": True})
