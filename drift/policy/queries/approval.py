"""The second approver, as this deployment is set up."""

from __future__ import annotations

from django.conf import settings

from accounts.models import User
from drift.policy.domain.approval import ApprovalRule


def approval_rule() -> ApprovalRule:
    """Return which changes of the policy need a second person (docs/policy-semantics.md#second-approver)."""
    return ApprovalRule(settings.SECOND_APPROVER, frozenset(settings.SECOND_APPROVER_ENVIRONMENTS))


def can_approve(user: User, author: User) -> bool:
    """Return whether `user` is another person than the author of a proposal."""
    return user.pk != author.pk
