"""A user's own notices and preferences."""

from __future__ import annotations

from accounts.models import User
from drift.notify.models import Notice, Preference
from drift.web.cursors import rows_before

PAGE = 50
MAX_UNREAD = 100
"""The bell counts no further."""


def notice_page(user: User, before: int | None) -> tuple[list[Notice], int | None]:
    """Return a user's notices, newest first, from below the key `before`; and the next page's `before`, if any."""
    return rows_before(Notice.objects.filter(user=user), "pk", before, PAGE)


def unread_count(user: User) -> int:
    """Return how many notices are unread, at most MAX_UNREAD."""
    return Notice.objects.filter(user=user, read_at=None)[:MAX_UNREAD].count()


def mail_preferences(user: User) -> dict[str, bool]:
    """Return the user's email preferences; all off unless they chose otherwise."""
    row = Preference.objects.filter(user=user).first() or Preference(user=user)
    return {"mail_mentions": row.mail_mentions, "mail_assignments": row.mail_assignments}
