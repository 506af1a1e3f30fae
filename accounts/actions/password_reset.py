"""Reset a forgotten password by a link in a mail."""

from __future__ import annotations

import contextlib
import logging

from celery import current_app
from django.conf import settings
from kombu.exceptions import OperationalError

from accounts.actions.links import create_requested_link, send_mail
from accounts.errors import LinkRefused
from accounts.models import User
from accounts.models.users import has_address
from accounts.queries.local_sign_in import may_sign_in_locally

logger = logging.getLogger(__name__)
TASK = "accounts.mail_password_reset"
TEXT = """Somebody asked to reset the password of {email} at {portal}.

Choose a new password within an hour:
{url}

If it was not you, ignore this mail: your password stays as it is.
"""


def request_password_reset(email: str) -> None:
    """Have a worker look for the user and mail the link: the response takes as long whether or not there is one."""
    try:
        current_app.send_task(TASK, args=(email,), retry=False)
    except (OperationalError, OSError) as error:
        logger.warning("queue unavailable, a password reset was not mailed: %s", error)


def mail_password_reset(email: str) -> None:
    """Mail a link to the user who has this address, if they have proved that it is theirs and may use a password."""
    user = User.objects.filter(has_address(email), is_active=True, is_service=False).first()
    if user is None or not user.is_email_verified or not user.has_usable_password() or not may_sign_in_locally(user):
        return
    if not settings.EMAIL_HOST:
        return
    with contextlib.suppress(LinkRefused):
        url = create_requested_link(user)
        send_mail("Reset your password", TEXT.format(email=user.email, portal=settings.PUBLIC_URL, url=url), user.email)
