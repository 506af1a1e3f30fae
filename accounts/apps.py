"""The accounts app."""

from __future__ import annotations

from typing import Any

from django.apps import AppConfig
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.core import checks
from django.http import HttpRequest


class AccountsConfig(AppConfig):
    name = "accounts"

    def ready(self) -> None:
        from accounts import openapi  # noqa: F401 - registers itself
        from accounts.models.visibility import check_visibility

        checks.register(check_visibility, checks.Tags.models)

        user_logged_in.connect(_record_sign_in)
        user_logged_out.connect(_record_sign_out)
        user_login_failed.connect(_record_failed_sign_in)


def _record_sign_in(sender: Any, request: HttpRequest | None, user: Any, **kwargs: Any) -> None:
    from accounts import audit

    audit.record(user, "signed in", "user", user.pk, name=user.email)


def _record_sign_out(sender: Any, request: HttpRequest | None, user: Any, **kwargs: Any) -> None:
    from accounts import audit

    if user is not None:
        audit.record(user, "signed out", "user", user.pk, name=user.email)


def _record_failed_sign_in(sender: Any, credentials: dict[str, Any], **kwargs: Any) -> None:
    """Record whose account it was. What was typed as an unknown user's name is not kept: it is often a password."""
    from accounts import audit
    from accounts.models import User

    typed = str(credentials.get("username", "")).replace("\0", "")[:254]
    user = User.objects.filter(email__iexact=typed).only("pk", "email").first()
    name, object_id = (user.email, str(user.pk)) if user else ("", "")
    audit.record(None, "failed to sign in as", "user", object_id, name=name, actor_name="somebody")
