"""Proposals: the list, the panel of one with its changes, and what its author and admins do with it."""

from __future__ import annotations

from collections.abc import Iterable

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse

from accounts.roles import Role
from drift.policy.actions.proposals import (
    accept_proposal,
    comment_proposal,
    decline_proposal,
    propose_draft,
    take_proposal,
    withdraw_proposal,
)
from drift.policy.domain.conflicts import NewerVersion, ProposalClashes
from drift.policy.domain.default_blocking import begins_to_block
from drift.policy.domain.detection import detects_nothing
from drift.policy.domain.rebase import Clash, rebase
from drift.policy.errors import BacktestMissing, ConfirmationRequired, DefaultMayNotBlock
from drift.policy.forms.draft import comment, confirmation
from drift.policy.models import PolicyProposal
from drift.policy.queries import proposals as queries
from drift.policy.queries.approval import approval_rule, can_approve
from drift.policy.queries.drafts import DraftState
from drift.policy.queries.lacking_sensors import lacking_sensors
from drift.policy.queries.versions import MAX_NUMBER, latest_number, latest_version
from drift.policy.views.change_lines import change_lines, shown_rules
from drift.policy.views.responses import explains_errors, list_response, panel_response, posted_draft, shown_state
from drift.web.requests import bounded_int, is_fragment, signed_in_user

MAX_LISTED = 100
TYPED = ("text", "comment", "word")
"""Fields of the panel that are typed freely."""


def listed(request: HttpRequest) -> HttpResponse:
    """Show the newest proposals and how each ended."""
    proposals = queries.listed_proposals(signed_in_user(request))[:MAX_LISTED]
    context = {"proposals": proposals, "latest_number": latest_number()}
    return render(request, "policy/proposals/page.html", context)


@explains_errors
def propose(request: HttpRequest) -> HttpResponse:
    """Propose the draft to the admins."""
    state, _ = propose_draft(posted_draft(request), comment(request))
    return _list(request, state, "Proposed. A Security Admin will accept or decline it; the result appears here.")


def proposal(request: HttpRequest, pk: int) -> HttpResponse:
    """Show the panel of one proposal: its changes field by field, and how it ended."""
    return _panel(request, _proposal(request, pk))


@explains_errors
def take(request: HttpRequest, pk: int) -> HttpResponse:
    """Copy the proposal to the admin's draft, to be changed or saved there."""
    state, clashes = take_proposal(posted_draft(request), _proposal(request, pk))
    message = "The proposal is in your draft. Review it and save. If you change its rules, it stays open."
    return _list(request, state, message, clashes)


@explains_errors
def accept(request: HttpRequest, pk: int) -> HttpResponse:
    """Save the proposal's changes as the next version, as the panel showed them on version `base`."""
    found = _proposal(request, pk)
    base = bounded_int(request.POST.get("base", ""), maximum=MAX_NUMBER)
    if base is None:
        raise Http404
    try:
        saved = accept_proposal(signed_in_user(request), found, base, comment(request), confirmation(request))
    except NewerVersion as error:
        refusal = f"v{error.latest} has been saved since you opened this. Review the changes again."
        return _panel(request, found, refusal, error.status_code)
    except (ProposalClashes, ConfirmationRequired, BacktestMissing, DefaultMayNotBlock) as error:
        return _panel(request, found, str(error.detail), error.status_code)
    outcome = f"Saved as {saved.version}" if saved.is_new else f"{saved.version} already has these changes"
    return _list(request, shown_state(request), f"{outcome}, proposed by {found.author}")


@explains_errors
def decline(request: HttpRequest, pk: int) -> HttpResponse:
    """Decline the proposal with a comment to its author."""
    found = _proposal(request, pk)
    word = comment(request, "word")
    if not word:
        return _panel(request, found, "Add a comment, so that the author can improve the proposal.", 422)
    decline_proposal(signed_in_user(request), found, word)
    return _list(request, shown_state(request), f"You declined the proposal by {found.author}")


@explains_errors
def add_comment(request: HttpRequest, pk: int) -> HttpResponse:
    """Add a comment to the proposal, and show its panel again."""
    found = _proposal(request, pk)
    text = comment(request, "text")
    if not text:
        return _panel(request, found, "Type a comment first.", 422)
    comment_proposal(signed_in_user(request), found, text)
    return _panel(request, found, sent="text") if is_fragment(request) else redirect("policy:proposal", pk)


@explains_errors
def withdraw(request: HttpRequest, pk: int) -> HttpResponse:
    """Withdraw the user's own proposal; its changes return to their draft."""
    found = _proposal(request, pk)
    if found.author_id != signed_in_user(request).pk:
        raise Http404
    state, clashes = withdraw_proposal(posted_draft(request), found)
    return _list(request, state, "Withdrawn. Your changes are in your draft again.", clashes)


def _list(request: HttpRequest, state: DraftState, message: str, clashes: Iterable[Clash] = ()) -> HttpResponse:
    for clash in clashes:
        messages.warning(request, f"{clash.name}: {clash.outcome}")
    return list_response(request, state, message, shows_message=True, closes_panel=True)


def _proposal(request: HttpRequest, pk: int) -> PolicyProposal:
    found = queries.proposal(signed_in_user(request), pk)
    if found is None:
        raise Http404
    return found


def _panel(
    request: HttpRequest, found: PolicyProposal, refusal: str = "", status: int = 200, *, sent: str = ""
) -> HttpResponse:
    """Render the panel with everything that was typed in it, except the field that was `sent`."""
    user, latest = signed_in_user(request), latest_version()
    # What accepting it would change now: other versions may have been saved since it was made.
    merged, clashes = rebase(found.base.document, found.document, latest.document)
    is_rebased = found.is_open and latest.number != found.base_id
    needs_other = approval_rule().applies(latest.document, merged) and not can_approve(user, found.author)
    can_decide = user.can_edit_policy and found.is_open
    context = {
        "proposal": found,
        "lines": change_lines(found.base.document, found.document, shown_rules(request)),
        "proposal_pair": f"proposal:{found.pk}",
        "merged_pair": f"merged:{found.pk}",
        "all_url": f"{reverse('policy:proposal', args=[found.pk])}?all=1",
        "latest": latest,
        "latest_lines": change_lines(latest.document, merged, shown_rules(request)) if is_rebased else None,
        "clashes": clashes if is_rebased else [],
        "refusal": refusal,
        "typed": {name: value for name, value in request.POST.items() if name in TYPED and name != sent},
        "sent": sent,
        "comments": queries.proposal_comments(user, found),
        "can_comment": user.has_role(Role.OPERATOR),
        "detects_nothing": detects_nothing(merged),
        "lacking": lacking_sensors(latest.document, merged) if found.is_open else None,
        "begins_to_block": begins_to_block(latest.document, merged),
        "is_mine": found.author_id == user.pk,
        "can_decide": can_decide,
        "needs_other": can_decide and needs_other,
        "can_accept": can_decide and not clashes and not needs_other and found.taken_by_id in (None, user.pk),
    }
    return panel_response(request, shown_state(request), "policy/proposals/panel.html", context, status)
