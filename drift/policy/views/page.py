"""The policy page and the commands on its list."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse

from drift.policy.actions import drafts as actions
from drift.policy.domain import edits
from drift.policy.errors import UnknownRule
from drift.policy.views.responses import (
    changed,
    comment_of,
    explains_refusals,
    is_htmx,
    page_context,
    point_of,
    rights_of,
    seen_by,
    user_of,
)
from sensor.policy import shadowed


def page(request: HttpRequest) -> HttpResponse:
    """The list of rules; `?q=` searches it where no script does."""
    return render(request, "policy/page.html", page_context(request, seen_by(user_of(request))))


def marks(request: HttpRequest) -> JsonResponse:
    """Which rules of the list can never decide, and the rule above that always does: the page marks them by itself,
    for it moves rules before the server knows."""
    document = seen_by(user_of(request)).document
    names = {rule["id"]: rule["name"] for rule in document["rules"]}
    found = shadowed(document).items()
    return JsonResponse({"shadowed": {rule: {"by": above, "name": names[above]} for rule, above in found}})


COMMANDS: dict[str, tuple[Callable[[list[str]], edits.Edit], str]] = {
    "delete": (edits.delete_rules, "deleted"),
    "duplicate": (edits.duplicate_rules, "duplicated"),
    "enable": (partial(edits.set_enabled, enabled=True), "enabled"),
    "disable": (partial(edits.set_enabled, enabled=False), "disabled"),
    "up": (partial(edits.move_rules, step=-1), "moved up"),
    "down": (partial(edits.move_rules, step=1), "moved down"),
}
"""What can be done to the selected rules, and how it is said."""


@explains_refusals
def command(request: HttpRequest) -> HttpResponse:
    """`do` something to the selected rules (`rule`); `edit` leads to the panel."""
    rule_ids = request.POST.getlist("rule")
    do = request.POST.get("do", "")
    if do == "edit" and rule_ids:
        return redirect(f"{reverse('policy:rule')}?{urlencode({'rule': rule_ids[0]})}")
    if do not in COMMANDS or not rule_ids:
        raise UnknownRule("Select a rule first. Nothing was changed.")
    edit, said = COMMANDS[do]
    state = actions.change_draft(user_of(request), point_of(request), edit(rule_ids))
    return changed(request, state, f"{_count(len(rule_ids))} {said}")


@explains_refusals
def order(request: HttpRequest) -> HttpResponse:
    """Put the rules in the order given (`order`, every id once); the page has moved its rows already."""
    edit = edits.reorder(request.POST.getlist("order"))
    state = actions.change_draft(user_of(request), point_of(request), edit)
    if not is_htmx(request):
        return changed(request, state, "Rules reordered")
    return render(
        request, "policy/page.html#state", {"state": state, "changes": len(state.changes), **rights_of(request)}
    )


@explains_refusals
def discard(request: HttpRequest) -> HttpResponse:
    """Throw the draft's changes away."""
    return changed(request, actions.discard_draft(user_of(request), point_of(request)), "Changes discarded")


@explains_refusals
def rebase(request: HttpRequest) -> HttpResponse:
    """Put the draft's changes on top of the version that was saved meanwhile."""
    state, clashes = actions.rebase_draft(user_of(request), point_of(request))
    for clash in clashes:
        messages.warning(request, f"{clash.name}: {clash.outcome}")
    return changed(request, state, f"Your changes now start from {state.base}")


@explains_refusals
def save(request: HttpRequest) -> HttpResponse:
    """Make the draft the next version."""
    saved = actions.save_draft(user_of(request), point_of(request), comment_of(request))
    said = f"Saved as {saved.version}" if saved.is_new else f"Nothing to save: {saved.version} is the same"
    if saved.is_new and "dismiss_silenced" in request.POST:
        return changed(request, seen_by(user_of(request)), said, {"dismissing": saved.version.number})
    if is_htmx(request):
        # Shown in the page's message line, which screen readers read by themselves.
        messages.success(request, said)
        said = ""
    return changed(request, seen_by(user_of(request)), said)


def _count(number: int) -> str:
    return "1 rule" if number == 1 else f"{number} rules"
