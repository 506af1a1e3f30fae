"""The form of a notification route."""

from __future__ import annotations

from typing import Any, Final

from django import forms
from django.core.exceptions import ValidationError

from accounts.forms.styled import StyledForm
from accounts.plain_text import one_line, several_lines
from drift.alerts.domain.filters import OPEN_STATUSES, Filters
from drift.alerts.domain.query_line import MAX_LINE, QueryLineError, parse_line, print_line
from drift.notify.forms.settings import read_addresses
from drift.notify.models import Webhook

NEVER: Final = {
    "verdict": "Alerts are closed later",
    "closed": "Alerts are closed later",
    "closed_by": "Alerts are closed later",
    "suppression": "Nobody is notified of alerts that a rule dismisses",
    "mentions": "Comments come later",
    "aside": "Nobody is notified of alerts that are set aside",
    "sample": "Nobody is notified of sample alerts",
    "incident": "An incident has a number only once it has alerts",
}
"""Filters that no new alert passes, or that say nothing of it."""


class RouteForm(StyledForm):
    """Which alerts, as a query line, and who is notified of them."""

    name = forms.CharField(max_length=128, validators=[one_line])
    query = forms.CharField(
        label="Alerts that match",
        max_length=MAX_LINE,
        validators=[one_line],
        help_text="As on the list of alerts: severity:high,medium priority:60+ cluster:prod path:/tmp/*",
    )
    webhooks = forms.ModelMultipleChoiceField(
        label="Webhooks", queryset=Webhook.objects.order_by("name"), required=False, widget=forms.CheckboxSelectMultiple
    )
    addresses = forms.CharField(
        label="Email addresses, one per line",
        required=False,
        max_length=16_000,
        validators=[several_lines],
        widget=forms.Textarea(attrs={"rows": 3}),
    )
    revision = forms.IntegerField(required=False, min_value=1, max_value=2**31 - 1, widget=forms.HiddenInput)

    def clean_query(self) -> str:
        try:
            filters = parse_line(self.cleaned_data["query"])
        except QueryLineError as error:
            raise ValidationError(str(error)) from None
        if reason := _never_message(filters):
            raise ValidationError(reason)
        line = print_line(filters)
        if len(line) > MAX_LINE:
            raise ValidationError(f"A query has at most {MAX_LINE:,} characters.")
        return line

    def clean_addresses(self) -> list[str]:
        return read_addresses(self.cleaned_data["addresses"])

    def clean(self) -> dict[str, Any]:
        values = super().clean() or {}
        if not self.errors and not values["webhooks"] and not values["addresses"]:
            raise ValidationError("Choose a webhook, or enter an address.")
        return values


def _never_message(filters: Filters) -> str | None:
    """Return why a route cannot have these filters: none of its alerts would pass, or `me` is nobody."""
    for name, values in filters.values.items():
        if name in NEVER:
            return f"{NEVER[name]}: a route cannot have {name}."
        if name == "status" and not set(values) <= set(OPEN_STATUSES):
            return "Routes are for open alerts: leave the status out."
        if "me" in values and name == "assignee":
            return "A route is nobody's own: name an address in place of me."
    return None
