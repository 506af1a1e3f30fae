"""Change users."""

from __future__ import annotations

import secrets

from django.db import transaction

from accounts import audit
from accounts.actions.sessions import end_sessions
from accounts.actions.tokens import revoke_tokens_of
from accounts.errors import LastOwnerError
from accounts.models import User
from accounts.roles import Role


@transaction.atomic
def create_user(
    actor: User | None, *, email: str, name: str, role: Role, password: str | None = None, one_time: bool = True
) -> tuple[User, str]:
    """Add a user. Without a password one is generated.

    Returns the user and the password, to be shown once; a one-time password must be changed at the first sign-in.
    """
    password = password or secrets.token_urlsafe(12)
    user = User.objects.create_user(email, name, role, password)
    if one_time:
        user.must_change_password = True
        user.save(update_fields=["must_change_password"])
    audit.record(actor, "created", "user", user.pk, name=user.email, after={"name": name, "role": role})
    return user, password


@transaction.atomic(durable=True)
def change_user(actor: User, user_id: int, *, role: Role, is_active: bool) -> User:
    """Change a user's role, or deactivate or reactivate the account.

    Raises LastOwnerError if no active Owner would remain.
    """
    # Locked before anything is read: two Owners who demote each other at the same time would both see one remain.
    owners = set(
        User.objects.select_for_update()
        .filter(role=Role.OWNER, is_active=True, is_scoped=False)
        .values_list("pk", flat=True)
    )
    user = User.objects.select_for_update().get(pk=user_id)
    stays_owner = role == Role.OWNER and is_active
    if owners == {user.pk} and not stays_owner:
        raise LastOwnerError
    before = {"role": user.role, "is_active": user.is_active}
    after = {"role": str(role), "is_active": is_active}
    if before != after:
        user.role, user.is_active = role, is_active
        user.save(update_fields=["role", "is_active"])
        audit.record(actor, "changed", "user", user.pk, name=user.email, before=before, after=after)
    return user


@transaction.atomic(durable=True)
def change_password(user: User, password: str, *, session: int | None, revoke_tokens: bool = False) -> None:
    """Set a password that the form has validated, and end the user's sessions but `session`.

    The caller keeps that one signed in.
    """
    user.set_password(password)
    user.must_change_password = False
    user.save(update_fields=["password", "must_change_password"])
    audit.record(user, "changed password of", "user", user.pk, name=user.email)
    end_sessions(user, user, keep=session)
    if revoke_tokens:
        revoke_tokens_of(user, user)
