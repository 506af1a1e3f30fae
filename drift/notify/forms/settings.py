"""Forms of the notification pages."""

from __future__ import annotations

from typing import Any, Final

from django import forms
from django.core.exceptions import ValidationError
from django.core.validators import validate_email

from accounts.forms.styled import StyledForm
from accounts.plain_text import one_line, several_lines
from accounts.roles import Role
from drift.notify.actions.post_webhook import webhook_url
from drift.notify.errors import AddressRejected

MAX_ADDRESSES: Final = 50
MAX_ADDRESS_LENGTH: Final = 254
"""Of an email address, as in its column."""


def read_addresses(text: str) -> list[str]:
    """Return the email addresses of a text, each once. Raises ValidationError."""
    addresses = text.split()
    if len(addresses) > MAX_ADDRESSES:
        raise ValidationError(f"At most {MAX_ADDRESSES} addresses are allowed.")
    for address in addresses:
        validate_email(address)
        if len(address) > MAX_ADDRESS_LENGTH:
            raise ValidationError(f"An address may have at most {MAX_ADDRESS_LENGTH} characters.")
    return list(dict.fromkeys(addresses))


class MailForm(StyledForm):
    """The recipients of email about alerts and the fleet."""

    roles = forms.MultipleChoiceField(
        label="All users with these roles", choices=Role.choices, required=False, widget=forms.CheckboxSelectMultiple
    )
    addresses = forms.CharField(
        label="Additional email addresses, one per line",
        required=False,
        max_length=16_000,
        validators=[several_lines],
        widget=forms.Textarea(attrs={"rows": 3}),
    )
    alerts = forms.BooleanField(label="New High alerts", required=False)
    health = forms.BooleanField(label="Sensor health and halted rollouts", required=False)
    audit_heads = forms.BooleanField(label="Audit log head, once a day", required=False)
    interval_minutes = forms.IntegerField(
        label="Minimum minutes between messages about the same incident or sensor", min_value=1, max_value=10_080
    )

    def clean_addresses(self) -> list[str]:
        return read_addresses(self.cleaned_data["addresses"])


class WebhookForm(StyledForm):
    """A new webhook."""

    name = forms.CharField(max_length=128, validators=[one_line])
    url = forms.CharField(label="Address", validators=[one_line], max_length=1_024)
    alerts = forms.BooleanField(label="New High alerts", required=False, initial=True)
    health = forms.BooleanField(label="Sensor health and halted rollouts", required=False, initial=True)
    audit_heads = forms.BooleanField(label="Audit log head, once a day", required=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        # The page has the mail form too, with fields of the same names.
        super().__init__(*args, auto_id="id_webhook_%s", **kwargs)

    def clean_url(self) -> str:
        try:
            return str(webhook_url(self.cleaned_data["url"]))
        except AddressRejected as error:
            raise ValidationError(str(error)) from None


class PreferenceForm(StyledForm):
    """A user's own email preferences."""

    mail_mentions = forms.BooleanField(label="Email me when a comment mentions me", required=False)
    mail_assignments = forms.BooleanField(label="Email me when an alert is assigned to me", required=False)
