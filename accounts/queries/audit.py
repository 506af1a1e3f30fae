"""Pages of the audit log."""

from __future__ import annotations

from accounts.models import AuditEntry, Viewer

AUDIT_PAGE = 50


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
