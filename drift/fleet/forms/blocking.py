"""The form that stops all blocking."""

from __future__ import annotations

from django import forms

from accounts.forms.styled import StyledForm
from accounts.plain_text import one_line


class StopForm(StyledForm):
    """Why blocking is stopped; optional, since stopping must never wait."""

    reason = forms.CharField(
        max_length=1_000,
        required=False,
        validators=[one_line],
        widget=forms.TextInput(attrs={"autofocus": True}),
        help_text="Shown to everybody while blocking is stopped, and recorded in the audit log.",
    )
