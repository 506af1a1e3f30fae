"""Let users prove that their address is theirs: a reset of the password is mailed to no other.

The link in the mail is no key: it works only for the user who is signed in. So whoever has a mistyped address proves
nothing with it.
"""

from __future__ import annotations

import datetime as dt
from typing import Final

from django.conf import settings
from django.core import signing
from django.db import transaction
from django.urls import reverse

from accounts import audit
from accounts.actions.links import send_mail
from accounts.models import User

LIFETIME: Final = dt.timedelta(hours=48)
_SALT: Final = "accounts.email_verification"
TEXT: Final = """Hello {name},

open this link within 48 hours and sign in, to confirm that {email} is your address at Driftwatch ({portal}):

{url}

If you did not expect this message, ignore it.
"""


def send_verification(user: User) -> bool:
    """Mail the user a link that verifies their address. Returns False if it could not be sent."""
    token = signing.dumps([user.pk, user.email], salt=_SALT)
    url = f"{settings.PUBLIC_URL}{reverse('accounts:email-verify', args=[token])}"
    text = TEXT.format(name=user.name, email=user.email, portal=settings.PUBLIC_URL, url=url)
    return send_mail("Confirm your email address", text, user.email)


def is_verification_of(user: User, token: str) -> bool:
    """Return whether the link was mailed to the present address of this user, within its lifetime."""
    try:
        found = signing.loads(token, salt=_SALT, max_age=LIFETIME)
    except signing.BadSignature:
        return False
    return bool(found == [user.pk, user.email])


@transaction.atomic(durable=True)
def verify_email(user: User, token: str) -> bool:
    """Record that the address is the user's. Returns False if the link is not, or no longer, for it."""
    user = User.objects.select_for_update().get(pk=user.pk)
    if not is_verification_of(user, token):
        return False
    record_verified_email(user)
    return True


def record_verified_email(user: User) -> None:
    """Record that the present address of the user is verified, unless it is known."""
    if not user.is_email_verified:
        user.verified_email = user.email
        user.save(update_fields=["verified_email"])
        audit.record(user, "verified the address of", "user", user.pk, name=user.email)
