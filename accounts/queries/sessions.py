"""Live sessions of a user."""

from __future__ import annotations

from dataclasses import dataclass

from accounts.device_names import device_name
from accounts.models import Session, User
from accounts.models.sessions import live_sessions


@dataclass(frozen=True)
class ShownSession:
    """A session, with its device in words, and whether it is the one that looks at it."""

    session: Session
    device: str
    is_current: bool


def sessions_of(user: User, current: int | None) -> list[ShownSession]:
    """Return the live sessions of `user`: the one with the id `current` first, then the last used first."""
    rows = Session.objects.filter(live_sessions(), user=user).order_by("-last_seen_at", "-pk")
    shown = [ShownSession(row, device_name(row.agent), row.pk == current) for row in rows]
    return sorted(shown, key=lambda each: not each.is_current)
