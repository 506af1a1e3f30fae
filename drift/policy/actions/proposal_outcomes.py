"""Record how proposals end: each once, in the audit log. The caller has opened a transaction."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.utils import timezone

from accounts import audit
from accounts.models import User
from drift.policy.domain.diff import MOVED, diff
from drift.policy.domain.edits import Document
from drift.policy.domain.rebase import rebase
from drift.policy.errors import ProposalDecided
from drift.policy.models import PolicyProposal, PolicyVersion, ProposalState


def settle_proposals(user: User, version: PolicyVersion | None) -> None:
    """Mark the proposals in the draft that the user saved as `version` as saved, and release the others.

    `version` is None where the save made none. A proposal copied to the draft may have been changed there since, so
    its changes are looked for in the version.
    """
    if version is not None:
        for proposal in _taken_proposals(user).select_related("author", "base"):
            if _is_contained(proposal, version.document):
                record_outcome(proposal, user, ProposalState.SAVED, version=version)
    release_proposals(user)


def release_proposals(user: User) -> None:
    """Return the proposals in the user's draft to the open ones that any admin may copy."""
    _taken_proposals(user).update(taken_by=None)


def record_outcome(proposal: PolicyProposal, user: User, state: ProposalState, **facts: Any) -> None:
    """Set an open proposal's final state and audit it. Raises ProposalDecided where it is no longer open."""
    fields = {"state": state, "taken_by": None, "decided_by": user, "decided_at": timezone.now(), **facts}
    # The state in the WHERE clause decides between two who act at once: one wins, the other updates no row.
    if not PolicyProposal.objects.filter(pk=proposal.pk, state=ProposalState.OPEN).update(**fields):
        raise ProposalDecided
    after: dict[str, Any] = {"state": str(state), "author": proposal.author.email}
    after |= {key: str(value) for key, value in facts.items()}
    before = {"state": str(ProposalState.OPEN)}
    audit.record(user, str(state), "policy proposal", proposal.pk, name=str(proposal), before=before, after=after)


def _taken_proposals(user: User) -> QuerySet[PolicyProposal]:
    rows: QuerySet[PolicyProposal] = PolicyProposal.objects.filter(state=ProposalState.OPEN, taken_by=user)
    return rows


def _is_contained(proposal: PolicyProposal, document: Document) -> bool:
    """Whether the document already has every change of the proposal; the rules' order counts where it moves rules."""
    merged, clashes = rebase(proposal.base.document, proposal.document, document)
    if clashes:
        return False
    moves = any(change.kind == MOVED for change in diff(proposal.base.document, proposal.document))
    return merged == document if moves else _without_order(merged) == _without_order(document)


def _without_order(document: Document) -> Document:
    return {**document, "rules": {rule["id"]: rule for rule in document["rules"]}}
