"""Confirm who uses a session: by password, by a second factor's code, or by passkey."""

from __future__ import annotations

from typing import Any, Final

from django import forms
from django.http import HttpRequest

from accounts.forms.own_password import check_own_password
from accounts.forms.second_factor import PasskeyForm, checked_code, code_field
from accounts.forms.styled import StyledForm
from accounts.models import User
from accounts.queries.local_sign_in import may_sign_in_locally

PREFIX: Final = "confirm"
"""Of the fields' names: they are posted beside the fields of the form that is being confirmed."""


class ConfirmForm(StyledForm):
    """One proof is enough: the first of passkey, code and password that was entered."""

    prefix = PREFIX
    password = forms.CharField(
        required=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
        strip=False,
        max_length=4096,
    )
    code = code_field(required=False)
    credential = forms.CharField(required=False, widget=forms.HiddenInput, max_length=16_384)

    def __init__(self, request: HttpRequest, user: User, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._request, self._user = request, user
        self.fields["code"].label = "Or a code"

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if data.get("credential"):
            self.method = self._checked_passkey(data["credential"])
        elif data.get("code"):
            self.method = str(checked_code(self._request, self._user, data["code"]).type)
        elif data.get("password"):
            self.method = self._checked_password(data["password"])
        elif not self.errors:
            raise forms.ValidationError("Enter your password or a code.")
        return data

    def _checked_passkey(self, credential: str) -> str:
        form = PasskeyForm(user=self._user, data={"credential": credential})
        if not form.is_valid():
            raise forms.ValidationError("The passkey was not accepted. Try again.")
        return "passkey"

    def _checked_password(self, password: str) -> str:
        wrong = "The password is wrong."
        check_own_password(self._user, password, wrong)
        if not may_sign_in_locally(self._user):
            raise forms.ValidationError(wrong)
        return "password"
