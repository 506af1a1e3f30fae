"""Move selected rules to a position, or above another rule."""

from __future__ import annotations

from collections.abc import Collection

from django.http import HttpRequest, HttpResponse

from drift.policy.actions.drafts import change_draft
from drift.policy.domain import edits
from drift.policy.errors import StaleDraft
from drift.policy.queries.drafts import DraftState
from drift.policy.views.responses import (
    KEPT,
    explains_errors,
    list_response,
    panel_response,
    posted_draft,
    shown_state,
)
from drift.web.requests import bounded_int
from sensor.policy import LIMITS


@explains_errors
def move(request: HttpRequest) -> HttpResponse:
    """Move the rules `rule` to `position`, or above the rule named `above`; 409 and 422 keep the panel open."""
    rule_ids = request.POST.getlist("rule")
    try:
        state = posted_draft(request)
    except StaleDraft:
        return move_panel(request, rule_ids, KEPT, 409)
    above = request.POST.get("above", "").strip()
    if above:
        found = next((each for each in state.document["rules"] if each["name"].casefold() == above.casefold()), None)
        if found is None or found["id"] in rule_ids:
            return move_panel(request, rule_ids, "Name another rule of the draft, exactly as it is called.", 422)
        edit = edits.move_above(rule_ids, found["id"])
    else:
        position = bounded_int(request.POST.get("position", ""), maximum=LIMITS["rules"])
        if not position:
            return move_panel(request, rule_ids, "Type a position from 1, or the name of a rule.", 422)
        edit = edits.move_to_position(rule_ids, position)
    message = f"{_count(rule_ids)} moved"
    return list_response(request, change_draft(state, edit, message), message, closes_panel=True, can_undo=True)


def move_panel(request: HttpRequest, rule_ids: list[str], refusal: str = "", status: int = 200) -> HttpResponse:
    """Show the panel that asks where the rules go."""
    state = shown_state(request)
    context = {
        "moving": rule_ids,
        "names": _names(state, rule_ids),
        "others": [each["name"] for each in state.document["rules"] if each["id"] not in rule_ids],
        "total": len(state.document["rules"]),
        "position": request.POST.get("position", ""),
        "above": request.POST.get("above", ""),
        "limits": LIMITS,
        "refusal": refusal,
    }
    return panel_response(request, state, "policy/list/move_panel.html", context, status)


def _names(state: DraftState, rule_ids: Collection[str]) -> list[str]:
    return [each["name"] for each in state.document["rules"] if each["id"] in rule_ids]


def _count(rule_ids: Collection[str]) -> str:
    return "1 rule" if len(rule_ids) == 1 else f"{len(rule_ids)} rules"
