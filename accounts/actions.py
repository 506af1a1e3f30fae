"""What changes users and tokens."""

from __future__ import annotations

import datetime as dt
import secrets

from django.contrib.auth.models import AnonymousUser
from django.contrib.sessions.models import Session
from django.db import transaction
from django.utils import timezone

from accounts import audit, tokens
from accounts.models import ApiToken, User
from accounts.roles import Role

LAST_USED_GRAIN = dt.timedelta(minutes=1)
"""How exact "last used" is: a busy script must not write a row a request."""


class LastOwnerError(Exception):
    """The change would leave nobody who can manage users."""


@transaction.atomic
def create_user(
    actor: User | None, *, email: str, name: str, role: Role, password: str | None = None, one_time: bool = True
) -> tuple[User, str]:
    """Add a user. Without a password one is made up.

    Returns the user and the password, to be shown once; a one-time password must be changed at the
    first sign-in.
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
    """Give a user another role, or close or reopen the account.

    Owners are locked first, so that two of them cannot take the role from each other at once.
    Raises LastOwnerError when nobody active would be left as Owner.
    """
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
    """Set a password the form has checked. The caller keeps this session alive."""
    user.set_password(password)
    user.must_change_password = False
    user.save(update_fields=["password", "must_change_password"])
    audit.record(user, "changed password of", "user", user.pk, name=user.email)


@transaction.atomic(durable=True)
def create_token(user: User, name: str, expires_at: dt.datetime | None = None) -> str:
    """Make an API token that acts as `user`. Returns its text, which is not kept."""
    new = tokens.make(tokens.PERSON)
    row = ApiToken.objects.create(user=user, name=name, prefix=new.prefix, digest=new.digest, expires_at=expires_at)
    audit.record(user, "created", "token", row.pk, name=name, after={"prefix": new.prefix})
    return new.text


@transaction.atomic(durable=True)
def revoke_token(actor: User, token_id: int) -> bool:
    """End one of the actor's own tokens at once. False where it is not theirs or has ended already."""
    mine = ApiToken.objects.filter(pk=token_id, user=actor, revoked_at=None)
    if not mine.update(revoked_at=timezone.now()):
        return False
    audit.record(actor, "revoked", "token", token_id, name=ApiToken.objects.get(pk=token_id).name)
    return True


def authenticate_token(text: str) -> User | AnonymousUser:
    """The active user whose token this is, else AnonymousUser. Remembers when it was last used."""
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
    """Drop sessions that have expired."""
    Session.objects.filter(expire_date__lt=timezone.now()).delete()
