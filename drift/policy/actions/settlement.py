"""What becomes of proposals: one decision each, told in the audit log. Callers have a transaction open."""

from __future__ import annotations

from typing import Any

from django.utils import timezone

from accounts import audit
from accounts.models import User
from drift.policy.domain.diff import MOVED, diff
from drift.policy.domain.edits import Document
from drift.policy.domain.rebase import rebase
from drift.policy.errors import ProposalDecided
from drift.policy.models import PolicyProposal, PolicyVersion, ProposalState

OPEN = ProposalState.OPEN


def settle(user: User, version: PolicyVersion | None) -> None:
    """The user saved their draft: the proposals that are in it became `version`; the others wait again.

    `version` is None where the Save made none. A draft that took a proposal may have been changed since.
    """
    if version is not None:
        for proposal in PolicyProposal.objects.filter(state=OPEN, taken_by=user).select_related("author", "base"):
            if _is_in(proposal, version.document):
                decide(proposal, user, ProposalState.SAVED, version=version)
    release(user)


def _is_in(proposal: PolicyProposal, document: Document) -> bool:
    """Whether everything that the proposal asks for is in the document already. Places count where it moves rules."""
    merged, clashes = rebase(proposal.base.document, proposal.document, document)
    if clashes:
        return False
    moves = any(change.kind == MOVED for change in diff(proposal.base.document, proposal.document))
    return merged == document if moves else _in_any_order(merged) == _in_any_order(document)


def _in_any_order(document: Document) -> Document:
    return {**document, "rules": {rule["id"]: rule for rule in document["rules"]}}


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
