"""Proposals: the list, one with what it changes, and what can be done with it."""

from __future__ import annotations

from collections.abc import Iterable

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render

from drift.policy.actions import proposals as proposing
from drift.policy.domain.diff import diff
from drift.policy.domain.rebase import Clash
from drift.policy.models import PolicyProposal
from drift.policy.queries import proposals as reading
from drift.policy.queries.draft_state import State
from drift.policy.views.presentation import change_lines
from drift.policy.views.responses import (
    changed,
    comment_of,
    explains_refusals,
    in_place_of_list,
    is_htmx,
    panel,
    point_of,
    seen_by,
    user_of,
)

LISTED = 100


def listed(request: HttpRequest) -> HttpResponse:
    """The newest proposals and what became of them."""
    return render(request, "policy/proposals.html", {"proposals": reading.listed(user_of(request))[:LISTED]})


@explains_refusals
def propose(request: HttpRequest) -> HttpResponse:
    """Send the draft to the admins."""
    state, _ = proposing.propose(user_of(request), point_of(request), comment_of(request))
    return _answer(request, state, "Proposed. A Security Admin decides; you see it here.")


def proposal(request: HttpRequest, pk: int) -> HttpResponse:
    """The panel of one proposal: its changes field by field, and who decided what."""
    return _panel(request, _proposal(request, pk))


@explains_refusals
def take(request: HttpRequest, pk: int) -> HttpResponse:
    """An admin takes it into their draft, to change or save it."""
    state, clashes = proposing.take(user_of(request), point_of(request), _proposal(request, pk))
    return _answer(
        request,
        state,
        "The proposal is in your draft. Review it and save. If you change what it asks for, it stays open.",
        clashes,
    )


@explains_refusals
def decline(request: HttpRequest, pk: int) -> HttpResponse:
    """An admin says no, and why."""
    found = _proposal(request, pk)
    word = request.POST.get("word", "").replace("\0", "").strip()[:1_000]
    if not word:
        return _panel(request, found, "Say why, so that the author can mend it.", 422)
    proposing.decline(user_of(request), found, word)
    return _answer(request, seen_by(user_of(request)), f"You declined the proposal by {found.author}")


@explains_refusals
def withdraw(request: HttpRequest, pk: int) -> HttpResponse:
    """Its author takes it back."""
    found = _proposal(request, pk)
    if found.author_id != user_of(request).pk:
        raise Http404
    state, clashes = proposing.withdraw(user_of(request), point_of(request), found)
    return _answer(request, state, "Withdrawn. Your changes are in your draft again.", clashes)


def _answer(request: HttpRequest, state: State, said: str, clashes: Iterable[Clash] = ()) -> HttpResponse:
    for clash in clashes:
        messages.warning(request, f"{clash.name}: {clash.outcome}")
    if is_htmx(request):
        messages.success(request, said)
        said = ""
    return in_place_of_list(changed(request, state, said), closes_panel=True)


def _proposal(request: HttpRequest, pk: int) -> PolicyProposal:
    found = reading.proposal(user_of(request), pk)
    if found is None:
        raise Http404
    return found


def _panel(request: HttpRequest, found: PolicyProposal, refusal: str = "", status: int = 200) -> HttpResponse:
    context = {
        "proposal": found,
        "lines": change_lines(diff(found.base.document, found.document)),
        "refusal": refusal,
        "is_mine": found.author_id == user_of(request).pk,
        "can_decide": user_of(request).can_edit_policy,
    }
    return panel(request, seen_by(user_of(request)), "policy/proposal_panel.html", context, status)
