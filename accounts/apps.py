"""The accounts app."""

from __future__ import annotations

from typing import Any

from django.apps import AppConfig
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.http import HttpRequest


class AccountsConfig(AppConfig):
    name = "accounts"

    def ready(self) -> None:
        from accounts import openapi as schema  # noqa: F401 - registers itself

        user_logged_in.connect(_signed_in)
        user_logged_out.connect(_signed_out)
        user_login_failed.connect(_sign_in_failed)


def _signed_in(sender: Any, request: HttpRequest | None, user: Any, **kwargs: Any) -> None:
    from accounts import audit

    audit.record(user, "signed in", "user", user.pk, name=user.email)


def _signed_out(sender: Any, request: HttpRequest | None, user: Any, **kwargs: Any) -> None:
    from accounts import audit

    if user is not None:
        audit.record(user, "signed out", "user", user.pk, name=user.email)


def _sign_in_failed(sender: Any, credentials: dict[str, Any], **kwargs: Any) -> None:
    """What was typed as the email is kept, cut short; the password never is (Django stars it out)."""
    from accounts import audit

    typed = str(credentials.get("username", "")).replace("\0", "")[:254]
    audit.record(None, "failed to sign in as", "user", "", name=typed, actor_name="somebody")
