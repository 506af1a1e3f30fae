"""A user's own notices and preferences."""

from __future__ import annotations

from django.db.models import QuerySet

from accounts.models import User
from drift.notify.models import Notice, Preference
from drift.web.cursors import rows_before

PAGE = 50
MAX_UNREAD = 100
"""The bell counts no further."""


def notice_page(user: User, before: int | None) -> tuple[list[Notice], int | None]:
    """Return a user's notices, newest first, from below the key `before`; and the next page's `before`, if any."""
    return rows_before(own_notices(user), "pk", before, PAGE)


def own_notices(user: User) -> QuerySet[Notice]:
    """Return the user's notices, without those about alerts that are not in their scope, or no longer."""
    rows: QuerySet[Notice] = Notice.objects.visible_to(user)
    return rows.filter(user=user)


def unread_count(user: User) -> int:
    """Return how many notices are unread, at most MAX_UNREAD."""
    return own_notices(user).filter(read_at=None)[:MAX_UNREAD].count()


def mail_preferences(user: User) -> dict[str, bool]:
    """Return the user's email preferences; all off unless they chose otherwise."""
    row = Preference.objects.filter(user=user).first() or Preference(user=user)
    return {"mail_mentions": row.mail_mentions, "mail_assignments": row.mail_assignments}
