"""The fields that every form of the policy pages shares: the draft's revision, comments, version numbers."""

from __future__ import annotations

from django.http import HttpRequest

from drift.policy.domain.draft_revision import DraftRevision

MAX_COMMENT = 1_000


def draft_revision(request: HttpRequest) -> DraftRevision:
    """Return the revision that the form was rendered for. Raises StaleDraft where it names none."""
    return DraftRevision.parse(request.POST.get("revision", ""))


def comment(request: HttpRequest, field: str = "comment") -> str:
    """Return the user's comment, trimmed and cut to the column's length."""
    # PostgreSQL rejects a string with a NUL.
    return request.POST.get(field, "").replace("\0", "").strip()[:MAX_COMMENT]
