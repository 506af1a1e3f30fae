"""Notify those who take part in a proposal of a new comment. The caller has opened a transaction."""

from __future__ import annotations

from django.urls import reverse

from accounts.models import User
from drift.notify.actions.notices import notify_user
from drift.notify.models import Kind
from drift.policy.models import PolicyProposal, ProposalComment


def notify_participants(proposal: PolicyProposal, comment: ProposalComment) -> None:
    """Notify the proposal's author, who decided or copied it, and who commented before; never the comment's author.

    On their page, and by email if they chose that for mentions.
    """
    own = {proposal.author_id, proposal.decided_by_id, proposal.taken_by_id}
    others = ProposalComment.objects.filter(proposal=proposal).values_list("author_id", flat=True)
    wanted = {pk for pk in (*own, *others) if pk is not None} - {comment.author_id}
    title = f"{comment.author.name} commented on the policy proposal by {proposal.author.name}"
    path = reverse("policy:proposal", args=[proposal.pk])
    for user in User.objects.filter(pk__in=wanted, is_active=True, is_service=False).order_by("pk"):
        notify_user(user, Kind.MENTION, title, comment.text, path)
