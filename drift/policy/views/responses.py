"""The policy page's responses: the whole page, the list after a change, a side panel, a rejected change."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Final

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse

from drift.policy.domain.conflicts import NewerVersion
from drift.policy.errors import (
    ApproverRequired,
    BacktestMissing,
    ConfirmationRequired,
    DocumentInvalid,
    PolicyConflict,
)
from drift.policy.forms.draft import confirmation, draft_revision
from drift.policy.queries.drafts import DraftState, draft_state, visible_state
from drift.policy.queries.versions import latest_version
from drift.policy.views.change_lines import change_lines, three_ways
from drift.policy.views.rule_list import page_context
from drift.web.requests import is_fragment, signed_in_user

KEPT: Final = "Your draft was changed elsewhere. Everything you typed is still here: check it and apply again."
"""What a panel says that comes back with a new revision of the draft."""
MAX_LINES: Final = 300
"""How many fields of a conflict are shown side by side, those first that both sides changed."""


def posted_draft(request: HttpRequest) -> DraftState:
    """Return the user's draft, if it is still as the posted form showed it. Raises StaleDraft."""
    return draft_state(signed_in_user(request)).expect(draft_revision(request))


def shown_state(request: HttpRequest) -> DraftState:
    """Return the page for the user: their draft, or the latest version if they cannot draft."""
    return visible_state(signed_in_user(request))


def panel_response(
    request: HttpRequest, state: DraftState, template: str, context: dict[str, Any], status: int = 200
) -> HttpResponse:
    """Render the panel alone, or without htmx the page with the panel open beside it."""
    context |= {"state": state}
    if is_fragment(request):
        return render(request, template, context, status=status)
    whole = {**page_context(request, state), **context, "panel_template": template}
    return render(request, "policy/list/page.html", whole, status=status)


def list_response(
    request: HttpRequest,
    state: DraftState,
    message: str,
    *,
    shows_message: bool = False,
    can_undo: bool = False,
    closes_panel: bool = False,
    shows_review: bool = False,
    **context: Any,
) -> HttpResponse:
    """Render the list after a change; without htmx redirect to the page, or the review, which then shows `message`.

    With htmx the message is for screen readers only, unless `shows_message`: then it is above the list, where they
    read it too. With `can_undo` it is also shown in a toast with *Undo*, where there is something to undo.
    """
    if not is_fragment(request):
        messages.success(request, message)
        return redirect("policy:review" if shows_review else "policy:page")
    if shows_message:
        messages.success(request, message)
    context |= {**page_context(request, state), "status": "" if shows_message else message, "is_part": True}
    context["shows_review"] = shows_review
    context["toast"] = message if can_undo and context["undo_label"] else ""
    response = render(request, "policy/list/page.html#policy", context)
    return replace_list(response, closes_panel=True) if closes_panel else response


def error_response(request: HttpRequest, error: PolicyConflict | DocumentInvalid) -> HttpResponse:
    """Render the list as it is stored now, with what was rejected and why; 409 or 422."""
    context = page_context(request, shown_state(request))
    context |= {"refusal": str(error.detail), "is_part": is_fragment(request)}
    context["needs_approver"] = isinstance(error, ApproverRequired)
    context["needs_backtest"] = isinstance(error, BacktestMissing)
    context["confirmation"] = error if isinstance(error, ConfirmationRequired) else None
    context["confirmed"] = confirmation(request)
    if isinstance(error, NewerVersion):
        lines = three_ways(error.theirs, error.yours, error.twice)
        if len(lines) > MAX_LINES:
            lines.sort(key=lambda line: not line.is_clash)
        context |= {"newer": error, "lines": lines[:MAX_LINES], "more_lines": len(lines[MAX_LINES:])}
        context |= _both_sides(shown_state(request))
    if not is_fragment(request):
        return render(request, "policy/list/page.html", context, status=error.status_code)
    part = render(request, "policy/list/page.html#policy", context, status=error.status_code)
    return replace_list(part, closes_panel=request.headers.get("HX-Target") == "panel")


def _both_sides(state: DraftState) -> dict[str, Any]:
    """Return what the user's changes do, and what was saved since they started."""
    latest = latest_version()
    return {
        "your_lines": change_lines(state.base.document, state.document),
        "their_lines": change_lines(state.base.document, latest.document),
        "their_pair": f"versions:{state.base.number}:{latest.number}",
        "your_url": f"{reverse('policy:review')}?all=1",
        "their_url": f"{reverse('policy:compare')}?from={state.base.number}&to={latest.number}&all=1",
    }


def replace_list(response: HttpResponse, *, closes_panel: bool = False) -> HttpResponse:
    """Make htmx replace the list, whatever element the request targeted, and close the panel if `closes_panel`."""
    response["HX-Retarget"] = "#policy"
    response["HX-Reswap"] = "outerHTML"
    if closes_panel:
        response["HX-Trigger-After-Swap"] = "panel:close"
    return response


PageView = Callable[..., HttpResponse]


def explains_errors(view: PageView) -> PageView:
    """Respond to a rejected change with the list and the error's explanation."""

    @wraps(view)
    def wrapped(request: HttpRequest, **arguments: int) -> HttpResponse:
        try:
            return view(request, **arguments)
        except (PolicyConflict, DocumentInvalid) as error:
            return error_response(request, error)

    return wrapped
