"""The role that somebody has now, which may not be the one that their request began with."""

from __future__ import annotations

from django.core.exceptions import PermissionDenied

from accounts.models import User
from accounts.roles import Role


def check_current_role(actor: User, role: Role) -> None:
    """Raise PermissionDenied if the actor was deactivated or demoted below `role` since the request began.

    Call it under the lock that the change waits for: whoever held it may have done so.
    """
    if not User.objects.get(pk=actor.pk).has_role(role):
        article = "an" if role.label[0] in "AEIOU" else "a"
        raise PermissionDenied(f"You are no longer {article} {role.label}.")
