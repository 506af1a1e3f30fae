"""API tokens for their owner's page."""

from __future__ import annotations

from django.db.models import QuerySet

from accounts.models import ApiToken, User


def active_tokens(user: User) -> QuerySet[ApiToken]:
    """Return the user's tokens that are not revoked, newest first."""
    return ApiToken.objects.filter(user=user, revoked_at=None).order_by("-created_at")
