"""The tokens and audit entries that a user may see."""

from __future__ import annotations

from django.db.models import QuerySet

from accounts.models import ApiToken, AuditEntry, User, Viewer

AUDIT_PAGE = 50


def active_tokens(user: User) -> QuerySet[ApiToken]:
    """Return the user's tokens that are not revoked, newest first."""
    return ApiToken.objects.filter(user=user, revoked_at=None).order_by("-created_at")


def audit_page(viewer: Viewer, before: str) -> tuple[list[AuditEntry], int | None]:
    """Return audit entries, newest first, from below the id `before`; and the next page's `before`, if any.

    Anything that is not an id gives the first page.
    """
    entries = AuditEntry.objects.visible_to(viewer).select_related("actor").order_by("-pk")
    # The length keeps the number within bigint, beyond which PostgreSQL raises an error.
    if before.isdecimal() and len(before) < 19:
        entries = entries.filter(pk__lt=int(before))
    page = list(entries[: AUDIT_PAGE + 1])
    return page[:AUDIT_PAGE], page[AUDIT_PAGE - 1].pk if len(page) > AUDIT_PAGE else None
