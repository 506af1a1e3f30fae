"""What people type about notifications."""

from __future__ import annotations

from typing import Final

from django import forms
from django.core.exceptions import ValidationError
from django.core.validators import validate_email

from accounts.forms import StyledForm
from accounts.roles import Role
from drift.notify.actions import post_webhook as posting

MOST_ADDRESSES: Final = 50
MOST_LETTERS: Final = 254
"""Of one, as the column has it."""


class MailForm(StyledForm):
    """Who gets mail of what concerns everybody. Azure's page asks the same: roles, addresses, and of what."""

    roles = forms.MultipleChoiceField(
        label="All users with these roles", choices=Role.choices, required=False, widget=forms.CheckboxSelectMultiple
    )
    addresses = forms.CharField(
        label="Additional addresses, one a line",
        required=False,
        max_length=16_000,
        widget=forms.Textarea(attrs={"rows": 3}),
    )
    alerts = forms.BooleanField(label="New High alerts", required=False)
    health = forms.BooleanField(label="Health of sensors, halted rollouts", required=False)
    interval_minutes = forms.IntegerField(
        label="At most one message per incident or sensor every so many minutes", min_value=1, max_value=10_080
    )

    def clean_addresses(self) -> list[str]:
        found = self.cleaned_data["addresses"].split()
        if len(found) > MOST_ADDRESSES:
            raise ValidationError(f"There may be {MOST_ADDRESSES} addresses.")
        for address in found:
            validate_email(address)
            if len(address) > MOST_LETTERS:
                raise ValidationError(f"An address may have {MOST_LETTERS} characters.")
        return list(dict.fromkeys(found))


class WebhookForm(StyledForm):
    """A webhook to be."""

    name = forms.CharField(max_length=128)
    url = forms.CharField(label="Address", max_length=1_024)
    alerts = forms.BooleanField(label="New High alerts", required=False, initial=True)
    health = forms.BooleanField(label="Health of sensors, halted rollouts", required=False, initial=True)

    def clean_url(self) -> str:
        try:
            return str(posting.check(self.cleaned_data["url"]))
        except posting.Refused as error:
            raise ValidationError(str(error)) from None


class PreferenceForm(StyledForm):
    """What one wants by mail of what is one's own."""

    mail_mentions = forms.BooleanField(label="Mail me when a comment mentions me", required=False)
    mail_assignments = forms.BooleanField(label="Mail me when an alert is given to me", required=False)
