"""What changes users and tokens."""

from __future__ import annotations

import datetime as dt

from django.contrib.auth.models import AnonymousUser
from django.db import transaction
from django.utils import timezone

from accounts import audit, tokens
from accounts.models import ApiToken, User
from accounts.roles import Role

LAST_USED_GRAIN = dt.timedelta(minutes=1)
"""How exact "last used" is: a busy script must not write a row a request."""


@transaction.atomic(durable=True)
def create_user(actor: User | None, *, email: str, name: str, role: Role, password: str | None) -> User:
    """Add a user. The caller has checked the password's strength."""
    user = User.objects.create_user(email, name, role, password)
    audit.record(actor, "created", "user", user.pk, name=user.email, after={"name": name, "role": role})
    return user


@transaction.atomic(durable=True)
def create_token(user: User, name: str, expires_at: dt.datetime | None = None) -> str:
    """Make an API token that acts as `user`. Returns its text, which is not kept."""
    new = tokens.make(tokens.PERSON)
    row = ApiToken.objects.create(
        user=user, name=name, prefix=new.prefix, digest=new.digest, expires_at=expires_at
    )
    audit.record(user, "created", "token", row.pk, name=name, after={"prefix": new.prefix})
    return new.text


@transaction.atomic(durable=True)
def revoke_token(actor: User, token: ApiToken) -> None:
    """End a token at once; revoking twice is the same as once."""
    if ApiToken.objects.filter(pk=token.pk, revoked_at=None).update(revoked_at=timezone.now()):
        audit.record(actor, "revoked", "token", token.pk, name=token.name)


def authenticate_token(text: str) -> User | AnonymousUser:
    """The active user whose token this is, else AnonymousUser. Remembers when it was last used."""
    prefix = tokens.prefix_of(text, tokens.PERSON)
    row = ApiToken.objects.select_related("user").filter(prefix=prefix, revoked_at=None).first()
    now = timezone.now()
    if row is None or not tokens.matches(text, row.digest) or not row.user.is_active:
        return AnonymousUser()
    if row.expires_at and row.expires_at <= now:
        return AnonymousUser()
    if row.last_used_at is None or now - row.last_used_at > LAST_USED_GRAIN:
        ApiToken.objects.filter(pk=row.pk).update(last_used_at=now)
    return row.user
