"""Who may sign in by password or passkey, and who only through the issuer."""

from __future__ import annotations

from allauth.socialaccount.models import SocialAccount
from django.conf import settings

from accounts.addresses import is_same_address
from accounts.models import User
from accounts.roles import Role


def linked_account(user: User) -> SocialAccount | None:
    """Return the user's account at the present issuer."""
    return SocialAccount.objects.filter(user_id=user.pk, provider=settings.OIDC_ISSUER).first()


def is_break_glass(user: User) -> bool:
    """Return whether this is the Owner who can sign in while the issuer is down."""
    name: str = settings.BREAK_GLASS_OWNER
    return bool(name) and is_same_address(user.email, name) and user.role == Role.OWNER


def may_sign_in_locally(user: User) -> bool:
    """Return whether password and passkey sign this user in.

    Not a user whom the issuer signs in: who has left its groups must not come in by an old password.
    """
    if is_break_glass(user) or not settings.OIDC_ISSUER:
        return True
    return settings.LOCAL_SIGN_IN and linked_account(user) is None
