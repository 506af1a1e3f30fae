"""Scopes for the Owners' pages."""

from __future__ import annotations

from django.db.models import Count, QuerySet

from accounts.models import ApiToken, ScopeEntry, ScopeGroup, User


def groups() -> QuerySet[ScopeGroup]:
    """Return the groups by name, each with its numbers of members and parts."""
    counted = ScopeGroup.objects.annotate(
        member_count=Count("members", distinct=True), part_count=Count("entries", distinct=True)
    )
    return counted.order_by("name")


def scoped_users() -> QuerySet[User]:
    """Return the users with a scope by address, each with its numbers of parts and groups of their own."""
    counted = User.objects.filter(is_scoped=True).annotate(
        part_count=Count("scope_entries", distinct=True), group_count=Count("scope_groups", distinct=True)
    )
    return counted.order_by("email")


def parts_of(holder: User | ScopeGroup) -> QuerySet[ScopeEntry]:
    """Return the parts of a user or group in the order in which they were given."""
    owned = (
        ScopeEntry.objects.filter(user=holder) if isinstance(holder, User) else ScopeEntry.objects.filter(group=holder)
    )
    return owned.select_related("environment", "cluster__environment").order_by("pk")


def parts_of_token(token: ApiToken) -> QuerySet[ScopeEntry]:
    """Return the parts of a token in the order in which they were given."""
    return ScopeEntry.objects.filter(token=token).select_related("environment", "cluster__environment").order_by("pk")
