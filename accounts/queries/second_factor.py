"""Which second factors a user has."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from allauth.mfa.models import Authenticator
from django.conf import settings

from accounts.models import User
from accounts.reauthentication import ISSUER

FACTORS: Final = (Authenticator.Type.TOTP, Authenticator.Type.WEBAUTHN)
"""Recovery codes replace a factor for once; they are none of their own."""


def has_second_factor(user: User) -> bool:
    """Return whether the user has an authenticator app or a passkey."""
    return bool(Authenticator.objects.filter(user_id=user.pk, type__in=FACTORS).exists())


def lacks_required_second_factor(user: User, methods: Collection[str]) -> bool:
    """Return whether the user's role requires a second factor (REQUIRE_SECOND_FACTOR) that they have not set up.

    `methods`: what the session signed in with. An issuer may have checked a second factor (OIDC_HAS_SECOND_FACTOR).
    """
    if user.role not in settings.REQUIRE_SECOND_FACTOR or (settings.OIDC_HAS_SECOND_FACTOR and ISSUER in methods):
        return False
    return not has_second_factor(user)


def users_with_second_factor() -> set[int]:
    """Return the ids of all users who have an authenticator app or a passkey."""
    return set(Authenticator.objects.filter(type__in=FACTORS).values_list("user_id", flat=True))
