"""One-time links that can be used."""

from __future__ import annotations

from django.db.models import QuerySet
from django.utils import timezone

from accounts import tokens
from accounts.models import OneTimeLink


def usable_links() -> QuerySet[OneTimeLink]:
    """Return the links that have not expired, of active people."""
    return OneTimeLink.objects.filter(expires_at__gt=timezone.now(), user__is_active=True, user__is_service=False)


def link_of_token(text: str) -> OneTimeLink | None:
    """Return the usable link that the text belongs to."""
    return usable_links().filter(digest=tokens.digest(text)).first()


def usable_link(link_id: object) -> OneTimeLink | None:
    """Return the usable link with this id."""
    return usable_links().select_related("user").filter(pk=link_id).first() if isinstance(link_id, int) else None
