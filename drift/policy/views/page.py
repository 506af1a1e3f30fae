"""The policy page, the commands on its list, and its panels: detection kinds, review."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse

from drift.policy.actions.drafts import change_draft, discard_draft, rebase_draft, undo_change
from drift.policy.actions.versions import save_draft
from drift.policy.domain import edits
from drift.policy.domain.detection import detects_nothing, unreported_kinds
from drift.policy.domain.rule_changes import rule_changes, summary
from drift.policy.errors import StaleDraft, UnknownRule
from drift.policy.forms.draft import comment, confirmation
from drift.policy.queries.draft_steps import undo_label
from drift.policy.queries.drafts import draft_state
from drift.policy.queries.versions import latest_number, visible_version
from drift.policy.views.change_lines import change_lines, shown_rules
from drift.policy.views.lint_lines import lint_lines
from drift.policy.views.move_rules import move_panel
from drift.policy.views.responses import (
    KEPT,
    explains_errors,
    list_response,
    panel_response,
    posted_draft,
    shown_state,
)
from drift.policy.views.rule_list import page_context
from drift.web.requests import is_fragment, signed_in_user
from sensor.policy import LIMITS, shadowed
from sensor.policy.drift_kinds import DRIFT_KINDS

KINDS_CHANGED = "Detection kinds changed"


def page(request: HttpRequest) -> HttpResponse:
    """Show the list of rules; `?q=` searches it without JavaScript."""
    return render(request, "policy/list/page.html", page_context(request, shown_state(request)))


def marks(request: HttpRequest) -> JsonResponse:
    """Return the rules that can never decide, each with the rule above that always decides first, and the lint.

    The page marks them by script, since it moves rows before the server knows the new order.
    """
    document = shown_state(request).document
    names = {rule["id"]: rule["name"] for rule in document["rules"]}
    found = shadowed(document).items()
    lint: dict[str, list[str]] = {}
    for line in lint_lines(document):
        lint.setdefault(line.rule_id, []).append(f"{line.value}: {line.message}")
    return JsonResponse(
        {"shadowed": {rule: {"by": above, "name": names[above]} for rule, above in found}, "lint": lint}
    )


COMMANDS: dict[str, tuple[Callable[[list[str]], edits.Edit], str]] = {
    "delete": (edits.delete_rules, "deleted"),
    "duplicate": (edits.duplicate_rules, "duplicated"),
    "enable": (partial(edits.set_enabled, enabled=True), "enabled"),
    "disable": (partial(edits.set_enabled, enabled=False), "disabled"),
    "up": (partial(edits.move_rules, step=-1), "moved up"),
    "down": (partial(edits.move_rules, step=1), "moved down"),
    "top": (partial(edits.move_to_position, position=1), "moved to the top"),
    "bottom": (partial(edits.move_to_position, position=LIMITS["rules"]), "moved to the bottom"),
}
"""The commands on selected rules, each with the word that the message reports it by."""


@explains_errors
def command(request: HttpRequest) -> HttpResponse:
    """Run the command `do` on the selected rules (`rule`); `edit` redirects to the panel."""
    rule_ids = request.POST.getlist("rule")
    do = request.POST.get("do", "")
    if do == "edit" and rule_ids:
        return redirect(f"{reverse('policy:rule')}?{urlencode({'rule': rule_ids[0]})}")
    if do == "move" and rule_ids:
        return move_panel(request, rule_ids)
    if do not in COMMANDS or not rule_ids:
        raise UnknownRule("Select a rule first. Nothing was changed.")
    edit, outcome = COMMANDS[do]
    count = "1 rule" if len(rule_ids) == 1 else f"{len(rule_ids)} rules"
    state = change_draft(posted_draft(request), edit(rule_ids), f"{count} {outcome}")
    return list_response(request, state, f"{count} {outcome}", can_undo=True)


@explains_errors
def order(request: HttpRequest) -> HttpResponse:
    """Put the rules in the posted order (`order`, every id once). The page has already moved its rows."""
    state = change_draft(posted_draft(request), edits.reorder(request.POST.getlist("order")), "Rules reordered")
    if not is_fragment(request):
        return list_response(request, state, "Rules reordered")
    context = {"state": state, "changes": len(state.changes), "undo_label": undo_label(state.user)}
    return render(request, "policy/list/page.html#state", context)


@explains_errors
def discard(request: HttpRequest) -> HttpResponse:
    """Discard the draft's changes."""
    return list_response(request, discard_draft(posted_draft(request)), "Changes discarded", can_undo=True)


@explains_errors
def undo(request: HttpRequest) -> HttpResponse:
    """Take back the draft's newest change."""
    state, label = undo_change(posted_draft(request))
    return list_response(request, state, f"Undone: {label[:1].lower()}{label[1:]}")


@explains_errors
def rebase(request: HttpRequest) -> HttpResponse:
    """Reapply the draft's changes to the latest version; report what that changed, and select the user's rules."""
    before = posted_draft(request)
    state, clashes = rebase_draft(before)
    theirs = summary(rule_changes(before.base.document, state.base.document))
    messages.success(request, f"Your changes now start from {state.base}, which {theirs or 'changed nothing'}.")
    for clash in clashes:
        messages.warning(request, f"{clash.name}: {clash.outcome}")
    mine = [change.rule for change in rule_changes(state.base.document, state.document) if change.after]
    message = f"Your changes now start from {state.base}"
    return list_response(request, state, message, can_undo=True, selected=json.dumps(mine))


def newer(request: HttpRequest) -> HttpResponse:
    """Show that a version was saved since the page's `?known=`; 204 while none was."""
    latest = latest_number()
    if str(latest) == request.GET.get("known", ""):
        return HttpResponse(status=204)
    user = signed_in_user(request)
    context = {"state": shown_state(request), "version": visible_version(user, latest)}
    return render(request, "policy/list/newer.html", context)


@explains_errors
def save(request: HttpRequest) -> HttpResponse:
    """Make the draft the next version."""
    saved = save_draft(posted_draft(request), comment(request), confirmation(request))
    state = draft_state(signed_in_user(request))
    if not saved.is_new:
        return list_response(request, state, f"Nothing to save: {saved.version} is the same", shows_message=True)
    message = f"Saved as {saved.version}"
    if "dismiss_ignored" in request.POST:
        # The list's script dismisses the alerts next, and shows one message for both.
        return list_response(request, state, message, dismissing=saved.version.number)
    return list_response(request, state, message, shows_message=True)


@explains_errors
def detect(request: HttpRequest) -> HttpResponse:
    """GET the panel of detection kinds; POST sets them. 409 keeps the panel open with what was ticked."""
    if request.method != "POST":
        return _detect_panel(request, shown_state(request).document["detect"])
    kinds = request.POST.getlist("kind")
    try:
        state = change_draft(posted_draft(request), edits.set_detect(kinds), KINDS_CHANGED)
    except StaleDraft:
        return _detect_panel(request, kinds, KEPT, 409)
    message = _detection_words(state.document)
    return list_response(request, state, message, closes_panel=True, can_undo=True)


def _detect_panel(request: HttpRequest, ticked: list[str], refusal: str = "", status: int = 200) -> HttpResponse:
    rows = [(kind.name, kind.label, kind.definition, kind.is_reported, kind.name in ticked) for kind in DRIFT_KINDS]
    context = {"kinds": rows, "refusal": refusal}
    return panel_response(request, shown_state(request), "policy/list/detect_panel.html", context, status)


def review(request: HttpRequest) -> HttpResponse:
    """Show the draft's changes, field by field."""
    state = shown_state(request)
    findings = lint_lines(state.document, [change.rule for change in state.changes])
    lines = change_lines(state.base.document, state.document, shown_rules(request))
    context = {"lines": lines, "of": "draft", "findings": findings}
    return panel_response(request, state, "policy/list/review_panel.html", context)


def _detection_words(document: edits.Document) -> str:
    missing = unreported_kinds(document)
    if detects_nothing(document):
        return f"{KINDS_CHANGED}: nothing is detected"
    return f"{KINDS_CHANGED}: {', '.join(missing)} not reported" if missing else KINDS_CHANGED
