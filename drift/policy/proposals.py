"""What becomes of proposals: one decision each, told in the audit log. Callers have a transaction open."""

from __future__ import annotations

from typing import Any

from django.utils import timezone

from accounts import audit
from accounts.models import User
from drift.policy.errors import ProposalDecided
from drift.policy.models import PolicyProposal, PolicyVersion, ProposalState

OPEN = ProposalState.OPEN


def settle(user: User, version: PolicyVersion | None) -> None:
    """The user saved their draft: the proposals in it became `version`; None, where it made none, lets them go."""
    if version is None:
        release(user)
        return
    for proposal in PolicyProposal.objects.filter(state=OPEN, taken_by=user).select_related("author"):
        decide(proposal, user, ProposalState.SAVED, version=version)


def release(user: User) -> None:
    """The user threw their draft away: the proposals in it wait for somebody again."""
    PolicyProposal.objects.filter(state=OPEN, taken_by=user).update(taken_by=None)


def decide(proposal: PolicyProposal, user: User, state: ProposalState, **facts: Any) -> None:
    """Set an open proposal's final state. Of two who decide at once, one wins; the other gets ProposalDecided."""
    decided = {"state": state, "taken_by": None, "decided_by": user, "decided_at": timezone.now(), **facts}
    if not PolicyProposal.objects.filter(pk=proposal.pk, state=OPEN).update(**decided):
        raise ProposalDecided
    after: dict[str, Any] = {"state": str(state), "author": proposal.author.email}
    after |= {key: str(value) for key, value in facts.items()}
    audit.record(
        user, str(state), "policy proposal", proposal.pk, name=str(proposal), before={"state": str(OPEN)}, after=after
    )
