"""Django's session storage, keyed by digest: a read of the database yields no live session."""

from __future__ import annotations

import datetime as dt
from typing import Any, Final

from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends.base import CreateError, SessionBase, UpdateError
from django.contrib.sessions.exceptions import SessionInterrupted
from django.db import IntegrityError, transaction
from django.db.models import Value
from django.db.models.functions import Least
from django.utils import timezone

from accounts.models import User
from accounts.models.sessions import Session, idle_since, key_digest, live_sessions
from accounts.prepared_rows import columns, instances, prepared_row
from accounts.request_context import current_source

RENEWAL_GRACE: Final = dt.timedelta(seconds=30)
LAST_SEEN_GRAIN: Final = dt.timedelta(minutes=1)
"""Resolution of "last seen": a busy browser must not cause an UPDATE per request."""
_COPIED: Final = ("user_id", "data", "created_at", "last_seen_at", "address", "agent")
"""What the row of the key before has in common with the one that goes on."""

_LIVE: Final = f"""
SELECT {columns(Session, User)} FROM accounts_session LEFT JOIN accounts_user ON accounts_user.id = user_id
WHERE digest = %s AND expires_at > %s AND (%s::timestamptz IS NULL OR last_seen_at > %s)
"""  # noqa: S608 - columns of our own models
"""A live session and its user, with which every page begins."""


class SessionStore(SessionBase):
    """One session. It ends SESSION_HOURS after it began, and after SESSION_IDLE_MINUTES without activity."""

    _row: Session | None = None
    _user: User | None = None
    is_flushed = False
    """Whether this request ended the session, as a sign-out does."""

    def flush(self) -> None:
        """End the session; the response deletes its cookie."""
        super().flush()
        self.is_flushed = True

    def load(self) -> dict[str, Any]:
        """Return the data of a live session; of any other key nothing, so that the next save gets a new key."""
        now = timezone.now()
        idle = idle_since(now)
        parameters = [key_digest(self.session_key or ""), now, idle, idle]
        row = prepared_row(_LIVE, parameters)
        if row is None and settings.SECRET_KEY_FALLBACKS:
            self._renew_digest()
            row = prepared_row(_LIVE, parameters)
        if row is None:
            self._session_key = self._row = None
            return {}
        self._row, self._user = instances(row, Session, User)
        return self.decode(self._row.data)

    def _renew_digest(self) -> None:
        """Make a session that began under the SECRET_KEY before one under this key; another request may be first."""
        digest = key_digest(self.session_key or "")
        for key in settings.SECRET_KEY_FALLBACKS:
            Session.objects.filter(digest=key_digest(self.session_key or "", key)).update(digest=digest)

    def take_user(self, user_id: Any) -> User | None:
        """Return the user if this session has just been read together with them; once, since they may change."""
        user, self._user = self._user, None
        return user if user is not None and user.pk == user_id else None

    def exists(self, session_key: str) -> bool:
        """Return whether the key is taken, by a live session or one that has ended."""
        return Session.objects.filter(digest=key_digest(session_key)).exists()

    def create(self) -> None:
        """Store an empty session under a new key."""
        while True:
            self._session_key = self._get_new_session_key()  # type: ignore[attr-defined]
            try:
                self.save(must_create=True)
            except CreateError:
                continue
            self.modified = True
            return

    def renew(self) -> None:
        """Go on under a new key, with the same end. The key before ends soon, and is not confirmed by what this one is.

        Not at once: a request that is under way with it would find no session, and its response delete the new cookie.
        Raises SessionInterrupted if the session was ended meanwhile.
        """
        self._get_session()  # type: ignore[attr-defined]
        if self._row is None:
            self.cycle_key()
            return
        before, key = key_digest(self.session_key or ""), self._get_new_session_key()  # type: ignore[attr-defined]
        with transaction.atomic():
            # The new key takes the row, and the key before gets a copy: what ends the user's sessions meanwhile waits
            # for the row and deletes it, but would not see a new one.
            row: Session | None = Session.objects.select_for_update().filter(digest=before).first()
            if row is None:
                raise SessionInterrupted("The session was ended while it was being confirmed.")
            ends_at = min(row.expires_at, timezone.now() + RENEWAL_GRACE)
            row.digest, row.expires_at = key_digest(key), self.get_expiry_date()
            row.save(update_fields=["digest", "expires_at"])
            copied = {name: getattr(row, name) for name in _COPIED}
            Session.objects.create(digest=before, expires_at=ends_at, **copied)
        self._session_key, self._row, self.modified = key, row, True

    def save(self, must_create: bool = False) -> None:  # noqa: FBT001, FBT002 - the signature is Django's
        """Store the data. Raises UpdateError if the session was ended meanwhile: it must not come back to life."""
        if self.session_key is None:
            self.create()
            return
        data = self._get_session(no_load=must_create)  # type: ignore[attr-defined]
        if must_create:
            self._row = self._insert(data)
            return
        # One statement, so that what ends a session at the same time either comes before it or deletes what it wrote.
        if not Session.objects.filter(digest=key_digest(self.session_key)).update(
            data=self.encode(data),
            user_id=_user_id(data),
            # Never later: it may have been renewed meanwhile.
            expires_at=Least("expires_at", Value(self.get_expiry_date())),
        ):
            raise UpdateError

    def _insert(self, data: dict[str, Any]) -> Session:
        self._row = None  # the new session's time begins now
        source = current_source()
        try:
            with transaction.atomic():
                return Session.objects.create(
                    digest=key_digest(self.session_key or ""),
                    user_id=_user_id(data),
                    data=self.encode(data),
                    expires_at=self.get_expiry_date(),
                    address=source.address or None,
                    agent=source.agent,
                )
        except IntegrityError:
            raise CreateError from None

    def delete(self, session_key: str | None = None) -> None:
        """End the session."""
        if key := session_key or self.session_key:
            Session.objects.filter(digest=key_digest(key)).delete()

    def get_expiry_date(self, **kwargs: Any) -> dt.datetime:
        """Return the end of the session: activity does not move it."""
        began = self._row.created_at if self._row else timezone.now()
        end = began + dt.timedelta(seconds=settings.SESSION_COOKIE_AGE)
        return min(super().get_expiry_date(**kwargs), end)

    def get_expiry_age(self, **kwargs: Any) -> int:
        """Return the seconds until the end of the session."""
        age = super().get_expiry_age(**kwargs)
        if self._row is None:
            return age
        return min(age, settings.SESSION_COOKIE_AGE - int((timezone.now() - self._row.created_at).total_seconds()))

    def record_activity(self) -> None:
        """Postpone the idle time-out, and record where the session is used from."""
        now = timezone.now()
        if self._row is None or now - self._row.last_seen_at < LAST_SEEN_GRAIN:
            return
        source = current_source()
        self._row.last_seen_at = now
        Session.objects.filter(pk=self._row.pk).update(
            last_seen_at=now, address=source.address or None, agent=source.agent
        )

    @property
    def row_id(self) -> int | None:
        """The id of this session's row, None before it is loaded."""
        return self._row.pk if self._row else None

    def seconds_left(self) -> tuple[int, int]:
        """Return the seconds until the idle time-out and until the session's end; the same without a time-out."""
        end = self.get_expiry_age()
        if self._row is None or not settings.SESSION_IDLE_SECONDS:
            return end, end
        idle = int((timezone.now() - self._row.last_seen_at).total_seconds())
        return min(end, settings.SESSION_IDLE_SECONDS - idle), end

    @classmethod
    def clear_expired(cls) -> None:
        """Delete the sessions that have ended."""
        Session.objects.exclude(live_sessions()).delete()


def _user_id(data: dict[str, Any]) -> int | None:
    value = str(data.get(SESSION_KEY, ""))
    return int(value) if value.isdecimal() else None
