"""One-time links that can be used."""

from __future__ import annotations

from typing import Final

from django.db.models import Prefetch, QuerySet
from django.utils import timezone

from accounts import tokens
from accounts.models import OneTimeLink, User
from accounts.queries.local_sign_in import may_sign_in_locally

GIVEN_LINKS: Final = Prefetch("links", OneTimeLink.objects.filter(is_requested=False), to_attr="given_links")
"""Gives each user `given_links`: the link of an Owner, if there is one."""


def usable_links() -> QuerySet[OneTimeLink]:
    """Return the links that have not expired, of active people."""
    return OneTimeLink.objects.filter(expires_at__gt=timezone.now(), user__is_active=True, user__is_service=False)


def link_of_token(text: str) -> OneTimeLink | None:
    """Return the usable link that the text belongs to."""
    return _of_local_user(usable_links().filter(digest__in=tokens.digests(text)))


def usable_link(link_id: object) -> OneTimeLink | None:
    """Return the usable link with this id."""
    return _of_local_user(usable_links().filter(pk=link_id)) if isinstance(link_id, int) else None


def has_tokens(user: User) -> bool:
    """Return whether the user has API tokens, which they may want to end with a lost password."""
    return bool(user.tokens.filter(revoked_at=None, expires_at__gt=timezone.now()).exists())


def _of_local_user(links: QuerySet[OneTimeLink]) -> OneTimeLink | None:
    """Return the link, unless the issuer alone signs its user in: a password would be of no use."""
    link = links.select_related("user").first()
    return link if link is not None and may_sign_in_locally(link.user) else None
