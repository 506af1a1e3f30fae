"""Sign-in, and a user's own password."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.auth import password_validation
from django.contrib.auth.forms import AuthenticationForm
from django.http import HttpRequest

from accounts.actions.sign_in_limits import Attempt
from accounts.forms.own_password import check_own_password
from accounts.forms.styled import StyledForm, style_inputs
from accounts.models import User
from accounts.queries.local_sign_in import may_sign_in_locally


def too_many(seconds: int) -> str:
    """Return what the page says when the next try must wait."""
    wait = f"{seconds} seconds" if seconds < 120 else f"{seconds // 60} minutes"
    return f"Too many failed sign-ins. Try again in {wait}."


class SignInForm(AuthenticationForm):
    """Email and password. Failures are rate-limited, and the error never reveals which part was wrong."""

    error_messages = {  # noqa: RUF012 - the name is Django's
        "invalid_login": "Email or password is wrong.",
        "inactive": "Email or password is wrong.",
    }
    seconds_to_wait = 0

    def __init__(self, request: HttpRequest | None = None, *args: Any, **kwargs: Any) -> None:
        super().__init__(request, *args, **kwargs)
        self.fields["username"].label = "Email"
        attributes = {"autocomplete": "username", "autofocus": True, "maxlength": 254}
        self.fields["username"].widget = forms.EmailInput(attributes)
        style_inputs(self)

    def confirm_login_allowed(self, user: Any) -> None:
        """Refuse whom the issuer signs in with the words of a wrong password, which was right."""
        super().confirm_login_allowed(user)
        if not may_sign_in_locally(user):
            raise self.get_invalid_login_error()

    def clean(self) -> dict[str, Any]:
        """Check the limits first: otherwise the response would still reveal a correct guess."""
        attempt = Attempt(self.request, str(self.cleaned_data.get("username", "")))
        self.seconds_to_wait = attempt.seconds_to_wait()
        if self.seconds_to_wait:
            raise forms.ValidationError(too_many(self.seconds_to_wait), code="limited")
        data = super().clean()
        attempt.succeeded()
        return data


class PasswordForm(StyledForm):
    """The old password once, the new one twice."""

    old_password = forms.CharField(widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}), strip=False)
    new_password = forms.CharField(widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}), strip=False)
    again = forms.CharField(
        label="Confirm new password", widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}), strip=False
    )
    revoke_tokens = forms.BooleanField(label="Revoke my API tokens", required=False)

    def __init__(self, user: User, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._user = user

    def clean_old_password(self) -> str:
        old = str(self.cleaned_data["old_password"])
        check_own_password(self._user, old, "The current password is wrong.")
        return old

    def clean_new_password(self) -> str:
        new = str(self.cleaned_data["new_password"])
        password_validation.validate_password(new, self._user)
        return new

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if data.get("new_password") and data["new_password"] != data.get("again"):
            self.add_error("again", "The passwords do not match.")
        if data.get("new_password") and data["new_password"] == data.get("old_password"):
            self.add_error("new_password", "The new password must differ from the old one.")
        return data
