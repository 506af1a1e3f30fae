"""Who may not save proposes: the draft goes to the admins, who take it into theirs, or decline it with a word."""

from __future__ import annotations

from django.db import IntegrityError, transaction
from django.db.models import Q

from accounts import audit
from accounts.models import User
from drift.policy.actions import settlement as proposals
from drift.policy.actions.drafts import Saved, draft_at, lock_latest, reset, save_over, state_after, write
from drift.policy.domain import edits
from drift.policy.domain.diff import diff
from drift.policy.domain.rebase import Clash, rebase
from drift.policy.errors import (
    AlreadyProposed,
    NothingToPropose,
    ProposalClashes,
    ProposalDecided,
    ProposalTaken,
    UnknownVersion,
)
from drift.policy.models import PolicyDraft, PolicyProposal, PolicyVersion, ProposalState
from drift.policy.queries.draft_state import Point, State, latest_version


@transaction.atomic(durable=True)
def propose(user: User, at: Point, comment: str = "") -> tuple[State, PolicyProposal]:
    """Ask the admins to save the draft, which then starts again from the latest version.

    Returns what the user sees then, and the proposal. Raises StaleDraft, NothingToPropose, AlreadyProposed.
    """
    draft = draft_at(user, at)
    if draft.document == draft.base.document:
        raise NothingToPropose
    proposal = _store(draft, comment)
    changes = [change.as_json() for change in diff(draft.base.document, draft.document)]
    after = {"base": draft.base_id, "comment": comment, "changes": changes}
    audit.record(user, "proposed", "policy proposal", proposal.pk, name=str(proposal), after=after)
    reset(draft, latest_version())
    return state_after(draft), proposal


@transaction.atomic(durable=True)
def withdraw(user: User, at: Point, proposal: PolicyProposal) -> tuple[State, list[Clash]]:
    """Take the user's own proposal back: its changes come on top of their draft. Raises StaleDraft, ProposalDecided."""
    draft = draft_at(user, at)
    clashes = _merge(draft, proposal)
    proposals.decide(proposal, user, ProposalState.WITHDRAWN)
    return state_after(draft), clashes


@transaction.atomic(durable=True)
def take(user: User, at: Point, proposal: PolicyProposal) -> tuple[State, list[Clash]]:
    """Put an open proposal's changes on top of an admin's draft, whose Save then saves the proposal too.

    Raises StaleDraft, ProposalDecided, ProposalTaken (another admin has it); DocumentInvalid where both together
    break a limit.
    """
    draft = draft_at(user, at)
    clashes = _merge(draft, proposal)
    still_open = PolicyProposal.objects.filter(pk=proposal.pk, state=ProposalState.OPEN)
    if not still_open.filter(Q(taken_by=None) | Q(taken_by=user)).update(taken_by=user):
        raise ProposalTaken if still_open.exists() else ProposalDecided
    return state_after(draft), clashes


@transaction.atomic(durable=True)
def accept(user: User, proposal: PolicyProposal, base: int, comment: str = "") -> Saved:
    """Make the latest version with an open proposal's changes the next one, if version `base` is the latest.

    Nobody's draft is touched. Where the changes are in the latest version already, the proposal is saved by that.
    Raises NewerVersion, UnknownVersion, ProposalClashes, ProposalDecided, ProposalTaken (another admin has it).
    """
    latest = lock_latest()
    seen = PolicyVersion.objects.filter(number=base).first()
    if seen is None:
        raise UnknownVersion
    if proposal.is_open and proposal.taken_by_id not in (None, user.pk):
        raise ProposalTaken
    merged, clashes = rebase(proposal.base.document, proposal.document, latest.document)
    if clashes:
        raise ProposalClashes(clashes)
    saved = save_over(user, seen, edits.checked(merged), comment, latest)
    proposals.decide(proposal, user, ProposalState.SAVED, version=saved.version)
    return saved


@transaction.atomic(durable=True)
def decline(user: User, proposal: PolicyProposal, word: str) -> None:
    """Say no to an open proposal, and why: `word` is not empty. Raises ProposalDecided."""
    proposals.decide(proposal, user, ProposalState.DECLINED, word=word)


def _store(draft: PolicyDraft, comment: str) -> PolicyProposal:
    """One open proposal a user, which the database holds: of two at once, one gets AlreadyProposed."""
    try:
        with transaction.atomic():
            return PolicyProposal.objects.create(
                author=draft.user, base=draft.base, document=draft.document, comment=comment
            )
    except IntegrityError:
        raise AlreadyProposed from None


def _merge(draft: PolicyDraft, proposal: PolicyProposal) -> list[Clash]:
    merged, clashes = rebase(proposal.base.document, proposal.document, draft.document)
    draft.document = edits.checked(merged)
    write(draft)
    return clashes
