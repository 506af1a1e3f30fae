"""The four roles, each with more permissions than the one before (docs/permissions.md)."""

from __future__ import annotations

from django.db.models import TextChoices


class Role(TextChoices):
    """Each role includes all permissions of the one before it."""

    READER = "reader", "Security Reader"
    OPERATOR = "operator", "Security Operator"
    ADMIN = "admin", "Security Admin"
    OWNER = "owner", "Owner"

    def includes(self, other: Role) -> bool:
        """Return whether this role has all permissions of `other`."""
        ranks = list(Role)
        return ranks.index(self) >= ranks.index(other)
