"""Which rows a user may see."""

from __future__ import annotations

from typing import Any

from django.db import models

from accounts.models.users import User, Viewer
from accounts.models.visibility import visibility_of
from accounts.roles import Role


class VisibleQuerySet(models.QuerySet[Any]):
    """Rows that a user may see: by their scope and the model's declaration (`accounts.models.visibility`)."""

    def visible_to(self, user: Viewer) -> VisibleQuerySet:
        """Return the rows in an active user's scope, and none to anybody else."""
        if not (isinstance(user, User) and user.has_role(Role.READER)):
            return self.none()
        if user.scope.is_whole_estate:
            return self.all()
        condition = visibility_of(self.model).condition(self.model, user)
        return self.none() if condition is None else self.filter(condition)
