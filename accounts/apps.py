"""The accounts app."""

from __future__ import annotations

from django.apps import AppConfig
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.core import checks
from django.db.models.signals import post_delete, post_save


class AccountsConfig(AppConfig):
    name = "accounts"

    def ready(self) -> None:
        from allauth.mfa import signals as mfa
        from allauth.mfa.models import Authenticator

        from accounts import openapi  # noqa: F401 - registers itself
        from accounts.actions import sign_in_audit as audit
        from accounts.actions.users import record_superuser
        from accounts.models import User
        from accounts.models.visibility import check_visibility

        checks.register(check_visibility, checks.Tags.models)

        post_save.connect(record_superuser, User)
        user_logged_in.connect(audit.record_sign_in)
        user_logged_out.connect(audit.record_sign_out)
        user_login_failed.connect(audit.record_failed_sign_in)
        # Not allauth's signals for these: it sends them after the commit, and the entry would be lost in a crash.
        post_save.connect(audit.record_added_factor, Authenticator)
        post_delete.connect(audit.record_removed_factor, Authenticator)
        mfa.authenticator_used.connect(audit.record_recovery_code)
        mfa.authentication_failed.connect(audit.record_wrong_code)
