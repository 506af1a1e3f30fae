"""Forms with which an Owner adds and changes users."""

from __future__ import annotations

from django import forms

from accounts.forms.styled import StyledForm
from accounts.models import User
from accounts.roles import Role


class NewUserForm(StyledForm):
    """A new user. The Owner who adds them passes on the one-time password."""

    email = forms.EmailField(max_length=254)
    name = forms.CharField(max_length=128)
    role = forms.ChoiceField(choices=Role.choices)

    def clean_email(self) -> str:
        email = str(self.cleaned_data["email"]).strip()
        if User.objects.filter(email__iexact=email).exists():
            raise forms.ValidationError("A user with this email already exists.")
        return email


class UserForm(StyledForm):
    """The role and state of a user, which an Owner can change."""

    role = forms.ChoiceField(choices=Role.choices)
    is_active = forms.BooleanField(required=False)
