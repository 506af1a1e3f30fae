"""Forms that add and change environments."""

from __future__ import annotations

from django import forms

from accounts.forms.styled import StyledForm
from accounts.plain_text import one_line
from drift.fleet.models import Provider


class EnvironmentForm(StyledForm):
    """A cloud account to add."""

    provider = forms.ChoiceField(choices=Provider, label="Cloud")
    account = forms.CharField(
        max_length=256, validators=[one_line], label="Account id", help_text="Subscription, account or project id"
    )
    name = forms.CharField(max_length=128, validators=[one_line])


class EnvironmentChangeForm(StyledForm):
    """An environment's name and what its sensors do; its account cannot change."""

    name = forms.CharField(max_length=128, validators=[one_line])
    proof = forms.BooleanField(
        required=False,
        label="Proof of detection",
        help_text="Each sensor runs a harmless drifted program every hour and reports it.",
    )
    exec_history = forms.BooleanField(
        required=False,
        label="Execution history",
        help_text="Alerts show what their container executed before them, and for ten minutes after.",
    )
