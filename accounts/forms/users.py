"""Forms with which an Owner adds and changes users and service accounts."""

from __future__ import annotations

from typing import Any, Final

from django import forms
from django.contrib.auth import password_validation
from django.core.validators import RegexValidator

from accounts.forms.styled import StyledForm
from accounts.models import User
from accounts.models.users import SERVICE_DOMAIN, has_address
from accounts.plain_text import one_line
from accounts.queries.links import has_tokens
from accounts.roles import Role

SERVICE_ROLES: Final = [(value, label) for value, label in Role.choices if value != Role.OWNER]


class NewUserForm(StyledForm):
    """A new user, who chooses their password by a one-time link."""

    email = forms.EmailField(max_length=254, validators=[one_line])
    name = forms.CharField(max_length=128, validators=[one_line])
    role = forms.ChoiceField(choices=Role.choices)
    show_link = forms.BooleanField(required=False, label="Show me the link instead of sending it")

    def clean_email(self) -> str:
        return _free_address(self.cleaned_data["email"], None)


class NewServiceAccountForm(StyledForm):
    """A new service account."""

    name = forms.CharField(
        max_length=64,
        validators=[
            RegexValidator(r"\A[a-z0-9]([a-z0-9-]*[a-z0-9])?\Z", "Use lower-case letters, digits and hyphens.")
        ],
        help_text="Lower-case letters, digits and hyphens, such as ci-pipeline.",
    )
    role = forms.ChoiceField(choices=SERVICE_ROLES)


class UserForm(StyledForm):
    """A user's address, name, role and state. Address and name stay as they are where they are not sent."""

    email = forms.EmailField(max_length=254, required=False, validators=[one_line])
    name = forms.CharField(max_length=128, required=False, validators=[one_line])
    role = forms.ChoiceField(choices=Role.choices)
    is_active = forms.BooleanField(required=False, label="Active")

    def __init__(self, person: User, *args: Any, **kwargs: Any) -> None:
        given = {"email": person.email, "name": person.name, "role": person.role, "is_active": person.is_active}
        super().__init__(*args, initial=given, **kwargs)
        self._person = person
        if person.is_service:
            del self.fields["email"]
            self.fields["role"].choices = SERVICE_ROLES  # type: ignore[attr-defined]

    def clean_email(self) -> str | None:
        email = self.cleaned_data["email"]
        return _free_address(email, self._person) if email else None

    def clean_name(self) -> str | None:
        return self.cleaned_data["name"] or None


class ChoosePasswordForm(StyledForm):
    """A password, twice, and whether to end API tokens with the old one."""

    new_password = forms.CharField(widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}), strip=False)
    again = forms.CharField(
        label="Confirm new password", widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}), strip=False
    )
    revoke_tokens = forms.BooleanField(label="Revoke my API tokens", required=False)

    def __init__(self, user: User, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._user = user
        if not has_tokens(user):
            del self.fields["revoke_tokens"]

    def clean_new_password(self) -> str:
        new = str(self.cleaned_data["new_password"])
        password_validation.validate_password(new, self._user)
        return new

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if data.get("new_password") and data["new_password"] != data.get("again"):
            self.add_error("again", "The passwords do not match.")
        return data


def _free_address(text: str, person: User | None) -> str:
    """Return the address without spaces around it. Raises ValidationError if another user has it or nobody can."""
    email = text.strip()
    if email.casefold().endswith(f"@{SERVICE_DOMAIN}"):
        raise forms.ValidationError("This domain is reserved for service accounts.")
    others = User.objects.exclude(pk=person.pk) if person else User.objects.all()
    if others.filter(has_address(email)).exists():
        raise forms.ValidationError("A user with this email already exists.")
    return email
