"""End sessions."""

from __future__ import annotations

from django.contrib.sessions.exceptions import SessionInterrupted
from django.db import transaction
from django.db.models import Q

from accounts import audit
from accounts.actions.session_store import SessionStore
from accounts.models import Session, User
from accounts.request_context import current_session
from accounts.roles import Role


def delete_expired_sessions() -> None:
    """Delete sessions that have ended."""
    SessionStore.clear_expired()


def lock_user(user: User) -> None:
    """Make what outlives a session of the user, and the end of their sessions, wait for each other."""
    # Not FOR UPDATE: rows that refer to the user may be added meanwhile.
    User.objects.select_for_update(no_key=True).get(pk=user.pk)


def check_session_lives() -> None:
    """Raise SessionInterrupted if the running request's session was ended since the request began.

    For what outlives a session. Call it under a lock of the user: whoever ends the sessions of one that was stolen has
    then ended this one, or finds what it adds, since it takes the lock too.
    """
    session = current_session()
    key = session.session_key if session is not None else None
    if session is not None and key and not session.exists(key):
        raise SessionInterrupted("The session was ended.")


@transaction.atomic
def end_session(actor: User, session_id: int) -> User | None:
    """End a session of the actor, or as an Owner anybody's. Returns its user, None if there is no such session."""
    owned = Q(user__isnull=False) if actor.has_role(Role.OWNER) else Q(user=actor)
    session = Session.objects.select_related("user").filter(owned, pk=session_id).first()
    if session is None or session.user is None:
        return None
    lock_user(session.user)
    session.delete()
    audit.record(actor, "ended a session of", "user", session.user.pk, name=session.user.email)
    return session.user


@transaction.atomic
def end_sessions(actor: User | None, user: User, *, keep: int | None = None) -> int:
    """End all sessions of `user` but the one with the id `keep`. Returns how many."""
    lock_user(user)
    rows = Session.objects.filter(user=user)
    count, _ = (rows if keep is None else rows.exclude(pk=keep)).delete()
    if count:
        audit.record(actor, "ended all sessions of", "user", user.pk, name=user.email, after={"sessions": count})
    return count
