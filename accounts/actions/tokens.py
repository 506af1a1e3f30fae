"""Create, check and revoke API tokens."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from accounts import audit, rate_limits, tokens
from accounts.actions.sessions import check_session_lives, lock_user
from accounts.errors import TokenRefused
from accounts.models import ApiToken, User
from accounts.models.tokens import DEFAULT_REQUESTS_PER_MINUTE, MAX_LIFETIME, scopes_of_role
from accounts.queries.current_role import check_current_role
from accounts.roles import Role
from accounts.tokens import TokenScope

LAST_USED_GRAIN = dt.timedelta(minutes=1)
"""Resolution of "last used": a busy script must not cause an UPDATE per request."""
MINUTE = 60
"""The window of a token's rate limit, in seconds."""


@transaction.atomic(durable=True)
def create_token(
    actor: User,
    name: str,
    expires_at: dt.datetime,
    *,
    scopes: Sequence[TokenScope],
    user: User | None = None,
    requests_per_minute: int = DEFAULT_REQUESTS_PER_MINUTE,
) -> str:
    """Create an API token of `user`, by default the actor. Returns the token, which is not stored.

    Raises TokenRefused if the account is not active, is another person's, or has not the role that a scope needs, and
    if the token would not expire within a year; SessionInterrupted if the session that asks was ended meanwhile,
    PermissionDenied if the actor was an Owner until then.
    """
    # Locked: an account that is being deactivated must not get a token that stays.
    user = User.objects.select_for_update().get(pk=(user or actor).pk)
    check_session_lives()
    if not user.is_active:
        raise TokenRefused("The account is deactivated.")
    if user.pk != actor.pk and not (user.is_service and actor.has_role(Role.OWNER)):
        raise TokenRefused("Only the user can create a token of their own account.")
    if user.pk != actor.pk:
        check_current_role(actor, Role.OWNER)
    if not timezone.now() < expires_at <= timezone.now() + MAX_LIFETIME:
        raise TokenRefused("A token must expire within one year.")
    if refused := set(scopes) - set(scopes_of_role(Role(user.role))):
        raise TokenRefused(f"The role {user.get_role_display()} does not have the scope {min(refused)}.")
    new = tokens.new_token(tokens.PERSON)
    row = ApiToken.objects.create(
        user=user,
        name=name,
        prefix=new.prefix,
        digest=new.digest,
        scopes=[scope.value for scope in TokenScope if scope in scopes],
        requests_per_minute=requests_per_minute,
        created_by=actor,
        expires_at=expires_at,
    )
    after = {"prefix": new.prefix, "user": user.email, "scopes": row.scopes, "expires": f"{expires_at:%Y-%m-%d}"}
    audit.record(actor, "created", "token", row.pk, name=name, after=after)
    return new.token


@transaction.atomic(durable=True)
def revoke_token(actor: User, token_id: int) -> int | None:
    """Revoke a token of the actor, or as an Owner anybody's. Returns its user's id, None if it is not active."""
    owned = Q() if actor.has_role(Role.OWNER) else Q(user=actor)
    token = ApiToken.objects.select_for_update(of=("self",)).filter(owned, pk=token_id, revoked_at=None).first()
    if token is None:
        return None
    token.revoked_at = timezone.now()
    token.save(update_fields=["revoked_at"])
    audit.record(actor, "revoked", "token", token_id, name=token.name)
    return token.user_id


@transaction.atomic
def revoke_tokens_of(actor: User | None, user: User) -> int:
    """Revoke all tokens of `user`. Returns how many were active."""
    lock_user(user)  # a token that is just being created is found, or is not created
    count = ApiToken.objects.filter(user=user, revoked_at=None).update(revoked_at=timezone.now())
    if count:
        audit.record(actor, "revoked all tokens of", "user", user.pk, name=user.email, after={"tokens": count})
    return count


def authenticate_token(text: str, address: str) -> ApiToken | None:
    """Return the token with its active user, or None if it is not valid. Records when and where it was last used."""
    prefix = tokens.public_prefix(text, tokens.PERSON)
    if prefix is None:
        return None
    row = ApiToken.objects.select_related("user").filter(prefix=prefix, revoked_at=None).first()
    if row is None or not tokens.matches(text, row.digest) or row.is_expired or not row.user.is_active:
        return None
    if tokens.is_outdated(text, row.digest):
        ApiToken.objects.filter(pk=row.pk).update(digest=tokens.digest(text))
    now = timezone.now()
    if row.last_used_at is None or now - row.last_used_at > LAST_USED_GRAIN:
        ApiToken.objects.filter(pk=row.pk).update(last_used_at=now, last_used_address=address or None)
    return row


def seconds_over_limit(token: ApiToken) -> int:
    """Count one request of the token. Returns 0 within its rate limit, else the seconds until it may try again."""
    if rate_limits.count(f"token:{token.pk}", MINUTE) <= token.requests_per_minute:
        return 0
    return rate_limits.seconds_left(MINUTE)
