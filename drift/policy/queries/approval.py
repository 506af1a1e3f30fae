"""The second approver, as this deployment is set up."""

from __future__ import annotations

from django.conf import settings

from accounts.models import User
from accounts.queries.tokens import people_behind
from drift.policy.domain.approval import ApprovalRule


def approval_rule() -> ApprovalRule:
    """Return which changes of the policy need a second person (docs/policy-semantics.md#second-approver)."""
    return ApprovalRule(settings.SECOND_APPROVER, frozenset(settings.SECOND_APPROVER_ENVIRONMENTS))


def can_approve(user: User, author: User) -> bool:
    """Return whether `user` is a person, and not one behind the author of a proposal, whatever account that is."""
    return not user.is_service and user.pk not in people_behind(author)
