"""Reset a forgotten password by a link in a mail."""

from __future__ import annotations

import logging
import smtplib

from celery import current_app
from django.conf import settings
from django.contrib.auth.tokens import default_token_generator
from django.core.mail import EmailMessage
from django.urls import reverse
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_encode
from kombu.exceptions import OperationalError

from accounts import audit
from accounts.models import User
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
        logger.warning("queue unavailable, a password reset was not mailed: %s", type(error).__name__)


def mail_password_reset(email: str) -> None:
    """Mail the link to the stored address of the user who has this one, if they may sign in by password."""
    user = User.objects.filter(email__iexact=email, is_active=True, is_service=False).first()
    if user is None or not user.has_usable_password() or not may_sign_in_locally(user) or not settings.EMAIL_HOST:
        return
    key = urlsafe_base64_encode(force_bytes(user.pk))
    path = reverse("accounts:password-reset", args=[key, default_token_generator.make_token(user)])
    text = TEXT.format(email=user.email, portal=settings.PUBLIC_URL, url=f"{settings.PUBLIC_URL}{path}")
    audit.record(None, "was asked for a password reset of", "user", user.pk, name=user.email, actor_name="somebody")
    try:
        EmailMessage("[Driftwatch] Reset your password", text, to=[user.email]).send()
    except (OSError, smtplib.SMTPException) as error:
        logger.warning("a password reset was not mailed: %s", type(error).__name__)
