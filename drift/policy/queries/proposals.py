"""Proposals, as the pages and the API show them."""

from __future__ import annotations

import datetime as dt
from typing import Final

from django.db.models import Q, QuerySet
from django.utils import timezone

from accounts.models import User
from drift.policy.models import PolicyProposal, ProposalComment, ProposalState
from drift.web.requests import MAX_BIGINT

DECIDED: Final = (ProposalState.SAVED, ProposalState.DECLINED)
NOTICE_DAYS: Final = 7
"""How long the policy page shows an author that their proposal was saved or declined."""
MAX_NOTICES: Final = 10


def proposals(user: User) -> QuerySet[PolicyProposal]:
    """Return the proposals that the user may see, newest first, with the users and versions that they name."""
    rows: QuerySet[PolicyProposal] = PolicyProposal.objects.visible_to(user)
    named = rows.select_related("author", "taken_by", "decided_by", "version", "base", "restores")
    return named.defer("version__document", "restores__document")


def listed_proposals(user: User) -> QuerySet[PolicyProposal]:
    """Return the same without any document, which may be large."""
    return proposals(user).defer("document", "base__document", "version__document")


def proposal(user: User, pk: int) -> PolicyProposal | None:
    """Return one proposal with its documents; None where the user sees none with this id."""
    # The driver rejects a number beyond the column's range, where there is nothing to find.
    return proposals(user).filter(pk=pk).first() if pk <= MAX_BIGINT else None


def proposal_comments(user: User, found: PolicyProposal) -> QuerySet[ProposalComment]:
    """Return the comments on a proposal, oldest first."""
    rows: QuerySet[ProposalComment] = ProposalComment.objects.visible_to(user)
    return rows.filter(proposal=found).select_related("author")


def proposal_notices(user: User) -> list[PolicyProposal]:
    """Return the policy page's notes: for admins the open proposals, for an author the outcome of theirs."""
    own = Q(author=user) & (
        Q(state=ProposalState.OPEN)
        | Q(state__in=DECIDED, decided_at__gte=timezone.now() - dt.timedelta(days=NOTICE_DAYS))
    )
    wanted = own | Q(state=ProposalState.OPEN) if user.can_edit_policy else own
    rows = PolicyProposal.objects.visible_to(user).filter(wanted)
    rows = rows.select_related("author", "taken_by", "decided_by", "version").defer("document", "version__document")
    return list(rows[:MAX_NOTICES])
