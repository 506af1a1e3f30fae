"""Ask for a link to reset a password, and choose the new one."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.auth.forms import SetPasswordForm

from accounts.forms.styled import StyledForm, style_inputs


class ForgottenForm(StyledForm):
    """The address of the user who forgot their password."""

    email = forms.EmailField(max_length=254, widget=forms.EmailInput(attrs={"autocomplete": "username"}))


class NewPasswordForm(SetPasswordForm):  # type: ignore[type-arg]
    """The new password, twice."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["new_password1"].help_text = "At least 12 characters."
        self.fields["new_password1"].label, self.fields["new_password2"].label = "New password", "Confirm new password"
        style_inputs(self)
