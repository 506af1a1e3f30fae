"""The four roles, in order of what they may do (DESIGN: Words)."""

from __future__ import annotations

from django.db.models import TextChoices


class Role(TextChoices):
    """Each role may do all that the one before it may."""

    READER = "reader", "Security Reader"
    OPERATOR = "operator", "Security Operator"
    ADMIN = "admin", "Security Admin"
    OWNER = "owner", "Owner"

    def includes(self, other: Role) -> bool:
        """Whether someone in this role may do what `other` may."""
        ranks = list(Role)
        return ranks.index(self) >= ranks.index(other)
