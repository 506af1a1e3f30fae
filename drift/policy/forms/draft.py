"""The fields that every form of the policy pages shares: the draft's revision, comments, version numbers."""

from __future__ import annotations

from django.http import HttpRequest

from accounts.plain_text import hidden_character_error
from drift.policy.domain.draft_revision import DraftRevision
from drift.policy.errors import DocumentInvalid
from sensor.policy import DocumentError

MAX_COMMENT = 1_000
MAX_CONFIRMATION = 100


def draft_revision(request: HttpRequest) -> DraftRevision:
    """Return the revision that the form was rendered for. Raises StaleDraft where it names none."""
    return DraftRevision.parse(request.POST.get("revision", ""))


def comment(request: HttpRequest, field: str = "comment") -> str:
    """Return the user's comment, trimmed and cut to the column's length. Raises DocumentInvalid."""
    text = request.POST.get(field, "").strip()[:MAX_COMMENT]
    error = hidden_character_error(text, several_lines=True)
    if error:
        raise DocumentInvalid([DocumentError("comment", "", error)])
    return text


def confirmation(request: HttpRequest) -> str:
    """Return what the user typed to confirm a dangerous save; "" where the form did not ask for it.

    A save may need several phrases: they are joined by commas.
    """
    return ", ".join(each for each in request.POST.getlist("confirmation") if each)[:MAX_CONFIRMATION]
