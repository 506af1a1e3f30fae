"""The second approver, as this deployment is set up."""

from __future__ import annotations

from django.conf import settings

from accounts.models import User
from accounts.queries.tokens import people_behind
from accounts.roles import Role
from drift.policy.domain.approval import ApprovalRule


def approval_rule() -> ApprovalRule:
    """Return which changes of the policy need a second person (docs/policy-semantics.md#second-approver)."""
    return ApprovalRule(settings.SECOND_APPROVER, frozenset(settings.SECOND_APPROVER_ENVIRONMENTS))


def can_approve(user: User, author: User) -> bool:
    """Return whether `user` is a person, still an Admin, and not one behind the author, whatever account that is.

    Read anew: whoever waited for another change may have lost the role meanwhile.
    """
    now = User.objects.get(pk=user.pk)
    return not now.is_service and now.has_role(Role.ADMIN) and now.pk not in people_behind(author)
