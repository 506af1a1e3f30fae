"""Second factors for tests: an authenticator app whose codes the test computes."""

from __future__ import annotations

import time
from typing import Any

from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import TOTP, format_hotp_value, generate_totp_secret, hotp_value
from django.test import Client

from tests.conftest import PASSWORD


def add_app(user: Any) -> str:
    """Give the user an authenticator app; returns its secret."""
    secret: str = generate_totp_secret()
    TOTP.activate(user, secret)
    return secret


def code_of(secret: str, steps: int = 0) -> str:
    """The code that the app shows now, or `steps` of 30 s later."""
    return str(format_hotp_value(hotp_value(secret, int(time.time()) // 30 + steps)))


def sign_in(user: Any, **options: Any) -> tuple[Client, Any]:
    """Enter the password; returns the browser and the response."""
    browser = Client(**options)
    return browser, browser.post("/sign-in/", {"username": user.email, "password": PASSWORD, "next": "/audit/"})


def app_of(user: Any) -> Any:
    """The stored authenticator app."""
    return Authenticator.objects.get(user=user, type=Authenticator.Type.TOTP)
