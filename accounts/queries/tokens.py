"""API tokens for their owner's page."""

from __future__ import annotations

from django.db.models import Q, QuerySet
from django.utils import timezone

from accounts.models import ApiToken, User
from accounts.roles import Role


def people_behind(user: User) -> set[int]:
    """Return the ids of the people who can act as `user`: of a service account, all who ever made it a token."""
    if not user.is_service:
        return {user.pk}
    makers = ApiToken.objects.filter(user=user, created_by__isnull=False)
    return set(makers.values_list("created_by", flat=True))


def active_tokens(user: User) -> QuerySet[ApiToken]:
    """Return the user's tokens that are not revoked, newest first."""
    return ApiToken.objects.filter(user=user, revoked_at=None).order_by("-created_at")


def tokens_known_to(user: User) -> QuerySet[ApiToken]:
    """Return the valid tokens of service accounts that the user created, and so has seen: they outlive the user."""
    known = ApiToken.objects.filter(created_by=user, user__is_service=True, revoked_at=None)
    return known.filter(expires_at__gt=timezone.now()).select_related("user").order_by("user__name", "pk")


def narrowable_tokens(user: User) -> QuerySet[ApiToken]:
    """Return the active tokens that the user may limit: their own, and as an Owner those of service accounts."""
    narrowable = Q(user=user)
    if user.has_role(Role.OWNER):
        narrowable |= Q(user__is_service=True)
    return ApiToken.objects.filter(narrowable, revoked_at=None).select_related("user")
