"""What people type: sign-in, a new password, a user."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.auth import password_validation
from django.contrib.auth.forms import AuthenticationForm
from django.http import HttpRequest

from accounts import client_address as callers
from accounts import rate_limits as limits
from accounts.models import User
from accounts.roles import Role

WINDOW = 15 * 60
MAX_FAILURES_OF_CALLER_AT_ACCOUNT = 10
MAX_FAILURES_OF_CALLER = 50
MAX_FAILURES_AT_ACCOUNT = 100
"""Failures in 15 minutes. One office may share an address, and a stranger must not lock somebody out cheaply."""


def _style(form: forms.Form) -> None:
    """Give every text field and menu of a form the look of our inputs."""
    for field in form.fields.values():
        if not isinstance(field.widget, forms.CheckboxInput):
            field.widget.attrs["class"] = "input"


class StyledForm(forms.Form):
    """A form whose fields look like all inputs here."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _style(self)


class SignInForm(AuthenticationForm):
    """Email and password; too many failures must wait, and the answer never says which part was wrong."""

    error_messages = {  # noqa: RUF012 - the name is Django's
        "invalid_login": "Email or password is wrong.",
        "inactive": "Email or password is wrong.",
        "limited": "Too many failed sign-ins. Try again in 15 minutes.",
    }

    def __init__(self, request: HttpRequest | None = None, *args: Any, **kwargs: Any) -> None:
        super().__init__(request, *args, **kwargs)
        self.fields["username"].label = "Email"
        self.fields["username"].widget.attrs.update({"autocomplete": "username", "autofocus": True, "type": "email"})
        _style(self)

    def clean(self) -> dict[str, Any]:
        """Refuse before the password is looked at when there were too many failures."""
        keys = self._limit_keys()
        if any(limits.tries(key, WINDOW) >= most for key, most in keys.items()):
            raise forms.ValidationError(self.error_messages["limited"], code="limited")
        try:
            return super().clean()
        except forms.ValidationError:
            for key in keys:
                limits.count(key, WINDOW)
            raise

    def _limit_keys(self) -> dict[str, int]:
        email = str(self.cleaned_data.get("username", "")).casefold()
        caller = callers.client_address(self.request)
        return {
            f"sign-in:{email}:{caller}": MAX_FAILURES_OF_CALLER_AT_ACCOUNT,
            f"sign-in-from:{caller}": MAX_FAILURES_OF_CALLER,
            f"sign-in-at:{email}": MAX_FAILURES_AT_ACCOUNT,
        }


class NewUserForm(StyledForm):
    """A user to be: they get a one-time password from whoever adds them."""

    email = forms.EmailField(max_length=254)
    name = forms.CharField(max_length=128)
    role = forms.ChoiceField(choices=Role.choices)

    def clean_email(self) -> str:
        email = str(self.cleaned_data["email"]).strip()
        if User.objects.filter(email__iexact=email).exists():
            raise forms.ValidationError("There is a user with this email already.")
        return email


class UserForm(StyledForm):
    """What an Owner may change about a user."""

    role = forms.ChoiceField(choices=Role.choices)
    is_active = forms.BooleanField(required=False)


class PasswordForm(StyledForm):
    """The old password once, the new one twice."""

    old_password = forms.CharField(widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}))
    new_password = forms.CharField(widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}))
    again = forms.CharField(
        label="New password again", widget=forms.PasswordInput(attrs={"autocomplete": "new-password"})
    )

    def __init__(self, user: User, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._user = user

    def clean_old_password(self) -> str:
        old = str(self.cleaned_data["old_password"])
        if not self._user.check_password(old):
            raise forms.ValidationError("This is not your password.")
        return old

    def clean_new_password(self) -> str:
        new = str(self.cleaned_data["new_password"])
        password_validation.validate_password(new, self._user)
        return new

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if data.get("new_password") and data["new_password"] != data.get("again"):
            self.add_error("again", "The two passwords differ.")
        if data.get("new_password") and data["new_password"] == data.get("old_password"):
            self.add_error("new_password", "Choose a password you have not used here.")
        return data


class ApiTokenForm(StyledForm):
    """An API token to be."""

    name = forms.CharField(max_length=128)
    days = forms.TypedChoiceField(
        label="Expires after",
        coerce=int,
        choices=[(30, "30 days"), (90, "90 days"), (365, "a year"), (0, "never")],
    )
