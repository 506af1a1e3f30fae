"""The panel of the default rule: show it, and set its action in the draft."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse

from drift.policy.actions.drafts import change_draft
from drift.policy.domain import edits
from drift.policy.domain.edits import Document, Rule
from drift.policy.domain.rule_changes import pair_digest
from drift.policy.errors import StaleDraft
from drift.policy.queries.drafts import DraftState
from drift.policy.queries.save_conditions import offers_default_blocking
from drift.policy.views.change_lines import describe_default
from drift.policy.views.responses import (
    KEPT,
    explains_errors,
    list_response,
    panel_response,
    posted_draft,
    shown_state,
)
from sensor.policy.descriptions import ACTION_LABELS

DEFAULT_CHANGED = "Default rule changed"


@explains_errors
def default(request: HttpRequest) -> HttpResponse:
    """Set the default rule's action, and whether it only records what it would block.

    409 keeps the panel open with what was chosen, where the draft is another one by now.
    """
    action = request.POST.get("action", "")
    dry_run = action == "block" and request.POST.get("dry_run") == "on"
    try:
        state = change_draft(posted_draft(request), edits.set_default_action(action, dry_run=dry_run), DEFAULT_CHANGED)
    except StaleDraft:
        chosen = {"action": action, "dry_run": dry_run, "refusal": KEPT, "is_typed": True}
        return default_panel(request, shown_state(request), chosen, 409)
    return list_response(request, state, DEFAULT_CHANGED, closes_panel=True, can_undo=True)


def default_panel(
    request: HttpRequest, state: DraftState, chosen: dict[str, Any] | None = None, status: int = 200
) -> HttpResponse:
    """Render the panel, with what was `chosen` in place of what the draft has."""
    context = _default_context(state) | (chosen or {})
    return panel_response(request, state, "policy/rule/default_panel.html", context, status)


def _default_context(state: DraftState) -> dict[str, Any]:
    """Return the choices of the default rule, each with what it does: blocking only where the portal allows it."""
    rule, may_block = state.document["default"], offers_default_blocking(state.base.document, state.document)
    choices: list[tuple[str, Rule]] = [("alert", {"action": "alert"}), ("ignore", {"action": "ignore"})]
    if may_block:
        choices += [("block", {"action": "block"}), ("dry_run", {"action": "block", "dry_run": True})]
    return {
        "action": rule["action"],
        "dry_run": "dry_run" in rule,
        "may_block": may_block,
        "actions": [(name, ACTION_LABELS[name]) for name, _ in choices if name in ACTION_LABELS],
        "sentences": [_sentence(state.document, *each) for each in choices],
    }


def _sentence(document: Document, name: str, choice: Rule) -> tuple[str, str, str, str]:
    """Return a choice's name, what it does, which alerts it raises, and the pair whose effect is loaded, else ""."""
    alerts = _alerts(choice, document["default"])
    shown = pair_digest(document, document | {"default": choice}) if alerts == "counted" else ""
    return name, describe_default(choice), alerts, shown


def _alerts(choice: Rule, rule: Rule) -> str:
    """Return which alerts a choice for the default rule raises: those of "now", "same" as now, "counted", or "above".

    Only one is counted: the others raise the same ones, and a user has one such count at a time.
    """
    if choice == rule:
        return "now"
    if (choice["action"] == "ignore") == (rule["action"] == "ignore"):
        return "same"
    return "above" if choice["action"] == "block" else "counted"
