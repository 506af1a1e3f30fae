"""API tokens for their owner's page."""

from __future__ import annotations

from django.db.models import QuerySet

from accounts.models import ApiToken, User


def people_behind(user: User) -> set[int]:
    """Return the ids of the people who can act as `user`: of a service account, all who ever made it a token."""
    if not user.is_service:
        return {user.pk}
    makers = ApiToken.objects.filter(user=user, created_by__isnull=False)
    return set(makers.values_list("created_by", flat=True))


def active_tokens(user: User) -> QuerySet[ApiToken]:
    """Return the user's tokens that are not revoked, newest first."""
    return ApiToken.objects.filter(user=user, revoked_at=None).order_by("-created_at")
