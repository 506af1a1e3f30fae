"""End sessions."""

from __future__ import annotations

from django.db import transaction
from django.db.models import Q

from accounts import audit
from accounts.actions.session_store import SessionStore
from accounts.models import Session, User
from accounts.roles import Role


def delete_expired_sessions() -> None:
    """Delete sessions that have ended."""
    SessionStore.clear_expired()


@transaction.atomic
def end_session(actor: User, session_id: int) -> User | None:
    """End a session of the actor, or as an Owner anybody's. Returns its user, None if there is no such session."""
    owned = Q(user__isnull=False) if actor.has_role(Role.OWNER) else Q(user=actor)
    session = Session.objects.select_related("user").filter(owned, pk=session_id).first()
    if session is None or session.user is None:
        return None
    session.delete()
    audit.record(actor, "ended a session of", "user", session.user.pk, name=session.user.email)
    return session.user


@transaction.atomic
def end_sessions(actor: User | None, user: User, *, keep: int | None = None) -> int:
    """End all sessions of `user` but the one with the id `keep`. Returns how many."""
    rows = Session.objects.filter(user=user)
    count, _ = (rows if keep is None else rows.exclude(pk=keep)).delete()
    if count:
        audit.record(actor, "ended all sessions of", "user", user.pk, name=user.email, after={"sessions": count})
    return count
