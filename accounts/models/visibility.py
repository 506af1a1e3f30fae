"""Which rows a user may see."""

from __future__ import annotations

from typing import Any

from django.db import models

from accounts.models.users import User, Viewer
from accounts.roles import Role


class VisibleQuerySet(models.QuerySet[Any]):
    """Rows that a user may see. One deployment serves one organisation, so a role sees all or nothing."""

    def visible_to(self, user: Viewer) -> VisibleQuerySet:
        """Return all rows to an active user, none to anybody else."""
        return self.all() if isinstance(user, User) and user.has_role(Role.READER) else self.none()
