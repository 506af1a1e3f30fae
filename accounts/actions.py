"""Change users, API tokens and sessions."""

from __future__ import annotations

import datetime as dt
import secrets

from django.contrib.auth.models import AnonymousUser
from django.contrib.sessions.models import Session
from django.db import transaction
from django.utils import timezone

from accounts import audit, tokens
from accounts.errors import LastOwnerError
from accounts.models import ApiToken, User
from accounts.roles import Role

LAST_USED_GRAIN = dt.timedelta(minutes=1)
"""Resolution of "last used": a busy script must not cause an UPDATE per request."""


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
    owners = set(User.objects.select_for_update().filter(role=Role.OWNER, is_active=True).values_list("pk", flat=True))
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
def change_password(user: User, password: str) -> None:
    """Set a password that the form has validated. The caller keeps the present session signed in."""
    user.set_password(password)
    user.must_change_password = False
    user.save(update_fields=["password", "must_change_password"])
    audit.record(user, "changed password of", "user", user.pk, name=user.email)


@transaction.atomic(durable=True)
def create_token(user: User, name: str, expires_at: dt.datetime | None = None) -> str:
    """Create an API token that acts as `user`. Returns the token, which is not stored."""
    new = tokens.new_token(tokens.PERSON)
    row = ApiToken.objects.create(user=user, name=name, prefix=new.prefix, digest=new.digest, expires_at=expires_at)
    audit.record(user, "created", "token", row.pk, name=name, after={"prefix": new.prefix})
    return new.token


@transaction.atomic(durable=True)
def revoke_token(actor: User, token_id: int) -> bool:
    """Revoke one of the actor's own tokens. Returns False if it is not theirs or is already revoked."""
    mine = ApiToken.objects.filter(pk=token_id, user=actor, revoked_at=None)
    if not mine.update(revoked_at=timezone.now()):
        return False
    audit.record(actor, "revoked", "token", token_id, name=ApiToken.objects.get(pk=token_id).name)
    return True


def authenticate_token(text: str) -> User | AnonymousUser:
    """Return the active user that a token belongs to, else AnonymousUser. Records when it was last used."""
    prefix = tokens.public_prefix(text, tokens.PERSON)
    row = ApiToken.objects.select_related("user").filter(prefix=prefix, revoked_at=None).first()
    now = timezone.now()
    if row is None or not tokens.matches(text, row.digest) or not row.user.is_active:
        return AnonymousUser()
    if row.expires_at and row.expires_at <= now:
        return AnonymousUser()
    if row.last_used_at is None or now - row.last_used_at > LAST_USED_GRAIN:
        ApiToken.objects.filter(pk=row.pk).update(last_used_at=now)
    return row.user


def delete_expired_sessions() -> None:
    """Delete sessions that have expired: Django keeps their rows for ever."""
    Session.objects.filter(expire_date__lt=timezone.now()).delete()
