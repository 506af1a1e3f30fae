"""The form of a new API token."""

from __future__ import annotations

from django import forms

from accounts.forms.styled import StyledForm


class ApiTokenForm(StyledForm):
    """A new API token."""

    name = forms.CharField(max_length=128)
    days = forms.TypedChoiceField(
        label="Expires after",
        coerce=int,
        choices=[(30, "30 days"), (90, "90 days"), (365, "1 year"), (0, "never")],
    )
