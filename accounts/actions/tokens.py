"""Create, check and revoke API tokens."""

from __future__ import annotations

import datetime as dt

from django.contrib.auth.models import AnonymousUser
from django.db import transaction
from django.utils import timezone

from accounts import audit, tokens
from accounts.models import ApiToken, User

LAST_USED_GRAIN = dt.timedelta(minutes=1)
"""Resolution of "last used": a busy script must not cause an UPDATE per request."""


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
    if row.is_scoped:
        row.user.narrowed_by = row.pk
    return row.user
