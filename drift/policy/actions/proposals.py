"""Propose drafts, and accept, decline, copy or withdraw proposals.

Users without save permission propose their draft, and so do admins whose change needs a second person. An admin copies
a proposal to their own draft and saves that, accepts it as it is, or declines it with a comment.
"""

from __future__ import annotations

from django.db import IntegrityError, transaction
from django.db.models import Q

from accounts import audit
from accounts.models import User
from drift.policy.actions.draft_steps import forget_steps, keep_step
from drift.policy.actions.drafts import write_draft
from drift.policy.actions.notify_participants import notify_participants
from drift.policy.actions.proposal_outcomes import record_outcome, release_proposals
from drift.policy.actions.versions import Saved, existing_version, lock_latest, save_next_version
from drift.policy.domain.conflicts import NewerVersion, ProposalClashes
from drift.policy.domain.diff import diff
from drift.policy.domain.edits import Document, checked
from drift.policy.domain.rebase import Clash, rebase
from drift.policy.errors import (
    AlreadyProposed,
    ApproverRequired,
    NothingToPropose,
    OwnProposal,
    ProposalDecided,
    ProposalTaken,
)
from drift.policy.models import PolicyProposal, PolicyVersion, ProposalComment, ProposalState
from drift.policy.queries.approval import can_approve
from drift.policy.queries.drafts import DraftState
from drift.policy.queries.save_conditions import check_default_rule
from drift.policy.queries.versions import latest_version
from sensor.policy import digest


@transaction.atomic(durable=True)
def propose_draft(state: DraftState, comment: str = "") -> tuple[DraftState, PolicyProposal]:
    """Propose the draft, which then starts again from the latest version.

    Returns what the user sees then, and the proposal. Raises StaleDraft, NothingToPropose, AlreadyProposed,
    DefaultMayNotBlock.
    """
    if not state.is_dirty:
        raise NothingToPropose
    check_default_rule(state.base.document, state.document)
    proposal = _store(state.user, state.base, state.document, comment)
    release_proposals(state.user)
    forget_steps(state.user)
    latest = latest_version()
    return write_draft(state, latest, latest.document), proposal


@transaction.atomic(durable=True)
def propose_restore(user: User, number: int, base: int, comment: str = "") -> PolicyProposal:
    """Propose the document of version `number`, if version `base` is the latest; drafts are not changed.

    Raises NewerVersion, UnknownVersion, NothingToPropose (it equals the latest), AlreadyProposed, DefaultMayNotBlock.
    """
    latest, seen, restored = latest_version(), existing_version(base), existing_version(number)
    if restored.digest == latest.digest:
        raise NothingToPropose("The latest version is the same, so there is nothing to propose.")
    check_default_rule(latest.document, restored.document)
    if seen.number != latest.number:
        raise NewerVersion(base, latest.number, diff(seen.document, latest.document), [], [])
    return _store(user, latest, restored.document, comment, restores=restored)


@transaction.atomic(durable=True)
def withdraw_proposal(state: DraftState, proposal: PolicyProposal) -> tuple[DraftState, list[Clash]]:
    """Withdraw the user's own proposal and reapply its changes to their draft. Raises StaleDraft, ProposalDecided."""
    written, clashes = _merge(state, proposal)
    record_outcome(proposal, state.user, ProposalState.WITHDRAWN)
    # Without an undo: the changes would then be neither proposed nor in the draft.
    forget_steps(state.user)
    return written, clashes


@transaction.atomic(durable=True)
def take_proposal(state: DraftState, proposal: PolicyProposal) -> tuple[DraftState, list[Clash]]:
    """Copy an open proposal's changes to an admin's draft; saving that draft then saves the proposal too.

    Raises StaleDraft, ProposalDecided, ProposalTaken (another admin has it); DocumentInvalid where the merged document
    breaks a limit.
    """
    written, clashes = _merge(state, proposal)
    still_open = PolicyProposal.objects.filter(pk=proposal.pk, state=ProposalState.OPEN)
    if not still_open.filter(Q(taken_by=None) | Q(taken_by=state.user)).update(taken_by=state.user):
        raise ProposalTaken if still_open.exists() else ProposalDecided
    keep_step(state, f"Proposal by {proposal.author} copied")
    return written, clashes


@transaction.atomic(durable=True)
def accept_proposal(
    user: User, proposal: PolicyProposal, base: int, comment: str = "", confirmation: str = ""
) -> Saved:
    """Make the latest version with an open proposal's changes the next one, if version `base` is the latest.

    Drafts are not changed. Where the latest version already has the changes, it is the one that saved the proposal.
    What is accepted is what the user read: a proposal's content never changes, and `base` must still be the latest.
    Raises NewerVersion, UnknownVersion, ProposalClashes, ProposalDecided, ProposalTaken (another admin has it);
    OwnProposal where the change needs a second person, whom the user is not; what else `save_next_version` raises.
    """
    latest = lock_latest()
    seen = existing_version(base)
    if proposal.is_open and proposal.taken_by_id not in (None, user.pk):
        raise ProposalTaken
    merged, clashes = rebase(proposal.base.document, proposal.document, latest.document)
    if clashes:
        raise ProposalClashes(clashes)
    document = checked(merged)
    restored = proposal.restores if proposal.restores and proposal.restores.digest == digest(document) else None
    other = proposal.author if can_approve(user, proposal.author) else None
    try:
        saved = save_next_version(
            user, seen, document, comment, latest, restored=restored, proposed_by=other, confirmation=confirmation
        )
    except ApproverRequired:
        raise OwnProposal from None
    record_outcome(proposal, user, ProposalState.SAVED, version=saved.version)
    return saved


@transaction.atomic(durable=True)
def decline_proposal(user: User, proposal: PolicyProposal, word: str) -> None:
    """Decline an open proposal; `word` is the comment to its author, never empty. Raises ProposalDecided."""
    record_outcome(proposal, user, ProposalState.DECLINED, word=word)


@transaction.atomic(durable=True)
def comment_proposal(user: User, proposal: PolicyProposal, text: str) -> ProposalComment:
    """Add a comment, never empty, to a proposal, open or decided; audit it, and notify those who take part."""
    comment = ProposalComment.objects.create(proposal=proposal, author=user, text=text)
    audit.record(user, "commented", "policy proposal", proposal.pk, name=str(proposal), after={"comment": text})
    notify_participants(proposal, comment)
    return comment


def _store(
    author: User, base: PolicyVersion, document: Document, comment: str, restores: PolicyVersion | None = None
) -> PolicyProposal:
    """Insert and audit it. A partial unique index allows one open proposal per user. Raises AlreadyProposed."""
    try:
        # A savepoint: without it the failed INSERT would abort the caller's whole transaction.
        with transaction.atomic():
            proposal = PolicyProposal.objects.create(
                author=author, base=base, document=document, comment=comment, restores=restores
            )
    except IntegrityError:
        raise AlreadyProposed from None
    changes = [change.as_json() for change in diff(base.document, document)]
    after = {"base": base.number, "comment": comment, "changes": changes}
    audit.record(author, "proposed", "policy proposal", proposal.pk, name=str(proposal), after=after)
    return proposal


def _merge(state: DraftState, proposal: PolicyProposal) -> tuple[DraftState, list[Clash]]:
    merged, clashes = rebase(proposal.base.document, proposal.document, state.document)
    return write_draft(state, state.base, checked(merged)), clashes
