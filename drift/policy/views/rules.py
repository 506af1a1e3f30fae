"""The page's side panels: a rule, the default rule, detection kinds, review."""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponse, JsonResponse

from drift.policy.actions import drafts as actions
from drift.policy.domain import edits
from drift.policy.domain.edits import Rule
from drift.policy.errors import Conflict, DocumentInvalid, UnknownRule
from drift.policy.forms.rule import empty_rule, faults_of, read_rule, take_step
from drift.policy.queries.draft_state import State
from drift.policy.views.presentation import change_lines
from drift.policy.views.responses import changed, explains_refusals, in_place_of_list, panel, point_of, seen_by, user_of
from drift.policy.views.rule_panel import PanelContext, rule_panel, words_of
from sensor.policy import DEFAULT_RULE, cloud_scope_summary
from sensor.policy.drift_kinds import DRIFT_KINDS


def rule(request: HttpRequest) -> HttpResponse:
    """The panel of one rule (`?rule=ID`), or of the default rule."""
    state = seen_by(user_of(request))
    rule_id = request.GET.get("rule", "")
    if rule_id == DEFAULT_RULE:
        return panel(request, state, "policy/default_panel.html", {"action": state.document["default"]["action"]})
    found = edits.rule_of(state.document, rule_id)
    if found is None:
        raise Http404
    return _rule_panel(request, state, found, {})


def new(request: HttpRequest) -> HttpResponse:
    """The panel for a new rule, which says at once what it still needs."""
    state = seen_by(user_of(request))
    empty = empty_rule()
    return _rule_panel(request, state, empty, faults_of(empty, state.document))


def apply(request: HttpRequest) -> HttpResponse:
    """Put the rule as typed in the draft. 409 and 422 keep the panel open with all that was typed.

    `step` is a button of the builder, pressed where no script runs: the panel comes back changed.
    """
    state = seen_by(user_of(request))
    typed = read_rule(request.POST)
    if "step" in request.POST:
        grown = take_step(typed, request.POST["step"])
        return _rule_panel(request, state, grown, faults_of(grown, state.document))
    faults = faults_of(typed, state.document)
    if faults:
        return _rule_panel(request, state, typed, faults, status=422)
    return _apply(request, typed)


def _apply(request: HttpRequest, typed: Rule) -> HttpResponse:
    edit = edits.change_rule(typed["id"], typed) if typed["id"] else edits.add_rule(typed)
    try:
        state = actions.change_draft(user_of(request), point_of(request), edit)
    except UnknownRule:
        said = "This rule was deleted meanwhile. Apply adds it as a new one."
        return _refused(request, {**typed, "id": ""}, said, 409)
    except Conflict:
        said = "Your draft was changed elsewhere meanwhile. All that you typed is still here: check it and apply again."
        return _refused(request, typed, said, 409)
    except DocumentInvalid as error:
        return _refused(request, typed, str(error.detail), 422)
    said = f"{typed['name']} changed" if typed["id"] else f"{typed['name']} added above the default rule"
    return in_place_of_list(changed(request, state, said), closes_panel=True)


def _refused(request: HttpRequest, typed: Rule, said: str, status: int) -> HttpResponse:
    state = seen_by(user_of(request))
    return _rule_panel(request, state, typed, faults_of(typed, state.document), refusal=said, status=status)


def check(request: HttpRequest) -> JsonResponse:
    """While typing: faults by field path, the rule in plain words (empty while it has faults), the cloud scope."""
    typed = read_rule(request.POST)
    faults = faults_of(typed, seen_by(user_of(request)).document)
    scope = cloud_scope_summary(typed["cloud_scope"])
    return JsonResponse({"faults": faults, "words": words_of(typed, faults), "cloud_scope": scope})


@explains_refusals
def default(request: HttpRequest) -> HttpResponse:
    """Set the default rule's action."""
    edit = edits.set_default_action(request.POST.get("action", ""))
    state = actions.change_draft(user_of(request), point_of(request), edit)
    return in_place_of_list(changed(request, state, "Default rule changed"), closes_panel=True)


@explains_refusals
def detect(request: HttpRequest) -> HttpResponse:
    """GET the panel of detection kinds; POST sets them."""
    if request.method == "POST":
        kinds = request.POST.getlist("kind")
        state = actions.change_draft(user_of(request), point_of(request), edits.set_detect(kinds))
        return in_place_of_list(changed(request, state, "Detection kinds changed"), closes_panel=True)
    state = seen_by(user_of(request))
    kinds_on = set(state.document["detect"])
    rows = [(kind.name, kind.label, kind.definition, kind.name in kinds_on) for kind in DRIFT_KINDS]
    return panel(request, state, "policy/detect_panel.html", {"kinds": rows})


def review(request: HttpRequest) -> HttpResponse:
    """What the draft changes, field by field."""
    state = seen_by(user_of(request))
    return panel(request, state, "policy/review_panel.html", {"lines": change_lines(state.changes)})


def _rule_panel(
    request: HttpRequest, state: State, shown: Rule, faults: dict[str, str], *, refusal: str = "", status: int = 200
) -> HttpResponse:
    context: PanelContext = rule_panel(shown, faults)
    return panel(request, state, "policy/rule_panel.html", {**context, "refusal": refusal}, status)
