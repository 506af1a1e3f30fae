"""One-time links: create, send, use and revoke them."""

from __future__ import annotations

import datetime as dt
import logging
import smtplib
from typing import Final

from django.conf import settings
from django.core.mail import EmailMessage
from django.db import transaction
from django.urls import reverse
from django.utils import timezone

from accounts import audit, tokens
from accounts.actions.sessions import end_sessions
from accounts.errors import LinkRefused
from accounts.models import OneTimeLink, User
from accounts.queries.links import usable_links

logger = logging.getLogger(__name__)

LIFETIME: Final = dt.timedelta(hours=48)


@transaction.atomic
def create_link(actor: User | None, user: User) -> str:
    """Create the one-time link of `user`, in place of an earlier one. Returns its URL, which is not stored.

    Raises LinkRefused for a service account or a deactivated user.
    """
    user = User.objects.select_for_update().get(pk=user.pk)
    if user.is_service or not user.is_active:
        raise LinkRefused("A service account or deactivated user cannot sign in.")
    new = tokens.new_token(tokens.LINK)
    now = timezone.now()
    values = {"digest": new.digest, "created_by": actor, "created_at": now, "expires_at": now + LIFETIME}
    OneTimeLink.objects.update_or_create(user=user, defaults=values)
    audit.record(actor, "created a one-time link for", "user", user.pk, name=user.email)
    return f"{settings.PUBLIC_URL}{reverse('accounts:link', args=[new.token])}"


def send_link(user: User, url: str) -> bool:
    """Send the link by email. Returns False if there is no mail server or it did not accept the message."""
    if not settings.EMAIL_HOST:
        return False
    text = (
        f"Hello {user.name},\n\nopen this link within 48 hours to choose your password for Driftwatch "
        f"({settings.PUBLIC_URL}). It works once.\n\n{url}\n\nIf you did not expect this message, ignore it.\n"
    )
    try:
        EmailMessage("[Driftwatch] Choose your password", text, to=[user.email]).send()
    except (smtplib.SMTPException, OSError) as error:
        logger.warning("a one-time link could not be sent: %s", type(error).__name__)
        return False
    return True


@transaction.atomic(durable=True)
def use_link(link_id: int, password: str) -> User:
    """Set the password of the link's user, end the link and the user's sessions. Raises LinkRefused if it has ended."""
    link = usable_links().select_for_update(of=("self",)).filter(pk=link_id).first()
    if link is None:
        raise LinkRefused("This link has expired or was used already.")
    user = User.objects.select_for_update().get(pk=link.user_id)
    # Again under the lock: a deactivation may have come in between.
    if not user.is_active:
        raise LinkRefused("This link has expired or was used already.")
    link.delete()
    user.set_password(password)
    user.must_change_password = False
    user.save(update_fields=["password", "must_change_password"])
    audit.record(user, "chose a password by a one-time link", "user", user.pk, name=user.email)
    end_sessions(user, user)
    return user


@transaction.atomic
def revoke_link(actor: User, user: User) -> bool:
    """End the link of `user`. Returns False if there is none."""
    count, _ = OneTimeLink.objects.filter(user=user).delete()
    if count:
        audit.record(actor, "revoked the one-time link of", "user", user.pk, name=user.email)
    return bool(count)
