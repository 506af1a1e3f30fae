"""Forms that add and change environments."""

from __future__ import annotations

from django import forms

from accounts.forms.styled import StyledForm
from drift.fleet.models import Provider


class EnvironmentForm(StyledForm):
    """A cloud account to add."""

    provider = forms.ChoiceField(choices=Provider, label="Cloud")
    account = forms.CharField(max_length=256, label="Account id", help_text="Subscription, account or project id")
    name = forms.CharField(max_length=128)


class EnvironmentChangeForm(StyledForm):
    """An environment's name and proof of detection; its account cannot change."""

    name = forms.CharField(max_length=128)
    proof = forms.BooleanField(
        required=False,
        label="Proof of detection",
        help_text="Each sensor runs a harmless drifted program every hour and reports it.",
    )
