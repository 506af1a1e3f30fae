"""Ask for a link to reset a password."""

from __future__ import annotations

from django import forms

from accounts.forms.styled import StyledForm


class ForgottenForm(StyledForm):
    """The address of the user who forgot their password."""

    email = forms.EmailField(max_length=254, widget=forms.EmailInput(attrs={"autocomplete": "username"}))
