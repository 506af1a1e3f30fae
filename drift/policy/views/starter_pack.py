"""The starter pack on the policy page: a panel to choose from, into the draft."""

from __future__ import annotations

from itertools import groupby
from operator import attrgetter

from django.http import HttpRequest, HttpResponse

from drift.policy.actions import drafts as actions
from drift.policy.domain import edits
from drift.policy.domain.edits import Document, Rule
from drift.policy.domain.starter_rules import starter_rules
from drift.policy.views.responses import changed, explains_refusals, in_place_of_list, panel, point_of, seen_by, user_of
from sensor.policy import describe_rule


@explains_refusals
def starter(request: HttpRequest) -> HttpResponse:
    """GET the panel; POST adds the chosen rules (`rule`, their keys), disabled, above the default rule."""
    if request.method != "POST":
        return _panel(request)
    wanted = set(request.POST.getlist("rule"))
    chosen = [each.rule for each in starter_rules() if each.key in wanted]
    if not chosen:
        return _panel(request, "Choose at least one rule.", 422)
    added = 0

    def add(document: Document) -> Document:
        nonlocal added
        longer = edits.add_rules(chosen)(document)
        added = len(longer["rules"]) - len(document["rules"])
        return longer

    state = actions.change_draft(user_of(request), point_of(request), add)
    return in_place_of_list(changed(request, state, _said(added, len(chosen))), closes_panel=True)


def _said(added: int, chosen: int) -> str:
    """What became of the rules that were chosen; one whose name is taken was left out."""
    rest = "; the others are in your draft already" if added < chosen else ""
    return f"{added} rule{'' if added == 1 else 's'} of the starter pack added, disabled{rest}"


def _panel(request: HttpRequest, refusal: str = "", status: int = 200) -> HttpResponse:
    state = seen_by(user_of(request))
    taken = {rule["name"].casefold() for rule in state.document["rules"]}
    groups = [
        (heading, [(each, _words(each.rule), each.rule["name"].casefold() in taken) for each in offered])
        for heading, offered in groupby(starter_rules(), key=attrgetter("group"))
    ]
    return panel(request, state, "policy/starter_panel.html", {"groups": groups, "refusal": refusal}, status)


def _words(rule: Rule) -> str:
    """What it would do once enabled."""
    return describe_rule({**rule, "enabled": True})
