"""One-time links, of Owners and of whoever forgot their password: create, mail, use and revoke them."""

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
from accounts.actions.tokens import revoke_tokens_of
from accounts.addresses import is_same_address
from accounts.errors import LinkRefused
from accounts.models import OneTimeLink, User
from accounts.queries.current_role import check_current_role
from accounts.queries.links import usable_links
from accounts.roles import Role
from accounts.signals import account_changed

logger = logging.getLogger(__name__)

LIFETIME: Final = dt.timedelta(hours=48)
REQUESTED_LIFETIME: Final = dt.timedelta(hours=1)


@transaction.atomic
def create_link(actor: User | None, user: User) -> str:
    """Create the one-time link of `user`, in place of an earlier one. Returns its URL, which is not stored.

    Raises LinkRefused for a service account or a deactivated user, PermissionDenied if the actor is no Owner any more.
    """
    user = User.objects.select_for_update().get(pk=user.pk)
    if actor is not None:
        check_current_role(actor, Role.OWNER)
    if user.is_service or not user.is_active:
        raise LinkRefused("A service account or deactivated user cannot sign in.")
    new = tokens.new_token(tokens.LINK)
    now = timezone.now()
    # A new row: a browser in which the earlier link is open remembers its id.
    OneTimeLink.objects.filter(user=user, is_requested=False).delete()
    OneTimeLink.objects.create(
        user=user, digest=new.digest, created_by=actor, created_at=now, expires_at=now + LIFETIME
    )
    audit.record(actor, "created a one-time link for", "user", user.pk, name=user.email)
    return _url(new)


@transaction.atomic
def create_requested_link(user: User) -> str:
    """Create the link of a user who forgot their password, beside others. Returns its URL, which is not stored.

    Raises LinkRefused if the user has another address by now: a link that goes to the one before must not open it.
    """
    # Locked: a change of the address ends the links that it finds, and would not see this one.
    if User.objects.select_for_update().get(pk=user.pk).email != user.email:
        raise LinkRefused("The address has changed.")
    new = tokens.new_token(tokens.LINK)
    expires_at = timezone.now() + REQUESTED_LIFETIME
    OneTimeLink.objects.filter(user=user, is_requested=True, expires_at__lte=timezone.now()).delete()
    OneTimeLink.objects.create(
        user=user, digest=new.digest, is_requested=True, mailed_to=user.email, expires_at=expires_at
    )
    audit.record(None, "was asked for a password reset of", "user", user.pk, name=user.email, actor_name="somebody")
    return _url(new)


def send_link(user: User, url: str) -> bool:
    """Send the link by email. Returns False if there is no mail server or it did not accept the message.

    It goes to the user's present address, and nowhere once the link has ended, as with a change of the address.
    """
    link = OneTimeLink.objects.filter(user=user, digest=tokens.digest(url.rstrip("/").rpartition("/")[2]))
    address = link.values_list("user__email", flat=True).first()
    if address is None:
        return False
    text = (
        f"Hello {user.name},\n\nopen this link within 48 hours to choose your password for Driftwatch "
        f"({settings.PUBLIC_URL}). It works once.\n\n{url}\n\nIf you did not expect this message, ignore it.\n"
    )
    if not send_mail("Choose your password", text, address):
        return False
    link.update(mailed_to=address)
    return True


def send_mail(subject: str, text: str, address: str) -> bool:
    """Send a message. Returns False if there is no mail server or it did not accept it."""
    if not settings.EMAIL_HOST:
        return False
    try:
        EmailMessage(f"[Driftwatch] {subject}", text, to=[address]).send()
    except (smtplib.SMTPException, OSError) as error:
        logger.warning("a mail to a user could not be sent: %s", type(error).__name__)
        return False
    return True


@transaction.atomic(durable=True)
def use_link(link_id: int, password: str, *, revoke_tokens: bool = False) -> User:
    """Set the password of the link's user, end their links and sessions, and their API tokens if asked.

    Raises LinkRefused if the link has ended.
    """
    # The user first, as whatever else ends links: two links of one user, used at once, would wait for each other.
    user = User.objects.select_for_update().filter(pk__in=usable_links().filter(pk=link_id).values("user")).first()
    link = usable_links().select_for_update(of=("self",)).filter(pk=link_id).first()
    if user is None or link is None:
        raise LinkRefused("This link has expired or was used already.")
    had_password = user.has_usable_password()
    OneTimeLink.objects.filter(user=user).delete()
    user.set_password(password)
    user.must_change_password = False
    if is_same_address(link.mailed_to, user.email):
        user.verified_email = user.email
    user.save(update_fields=["password", "must_change_password", "verified_email"])
    audit.record(user, "chose a password by a one-time link", "user", user.pk, name=user.email)
    end_sessions(user, user)
    if revoke_tokens:
        revoke_tokens_of(user, user)
    if had_password:
        account_changed.send(User, user=user, change="Your password was reset by a link")
    return user


def _url(new: tokens.IssuedToken) -> str:
    return f"{settings.PUBLIC_URL}{reverse('accounts:link', args=[new.token])}"


@transaction.atomic
def revoke_link(actor: User, user: User) -> bool:
    """End the links of `user`. Returns False if there is none."""
    count, _ = OneTimeLink.objects.filter(user=user).delete()
    if count:
        audit.record(actor, "revoked the one-time link of", "user", user.pk, name=user.email)
    return bool(count)
