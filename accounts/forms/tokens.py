"""The form of a new API token."""

from __future__ import annotations

import datetime as dt
from typing import Any, Final

from django import forms
from django.utils import timezone

from accounts.forms.styled import StyledForm
from accounts.models.tokens import DEFAULT_REQUESTS_PER_MINUTE, MAX_REQUESTS_PER_MINUTE, scopes_of_role
from accounts.plain_text import one_line
from accounts.roles import Role
from accounts.tokens import TokenScope

SCOPE_LABELS: Final = {
    TokenScope.READ: "read: see alerts, policy and fleet",
    TokenScope.TRIAGE: "triage: change the status of alerts",
    TokenScope.PROPOSE: "propose: edit the draft, propose it, run backtests",
    TokenScope.POLICY: "policy: save, restore, and decide on proposals",
    TokenScope.FLEET: "fleet: environments, sensors, rollouts, blocking",
    TokenScope.ADMIN: "admin: users and the audit log",
    TokenScope.KUBERNETES_AUDIT: "kubernetes-audit: send a cluster's audit lines",
}


class ApiTokenForm(StyledForm):
    """A new API token, with the scopes that a user of `role` may give it."""

    name = forms.CharField(max_length=128, validators=[one_line])
    scopes = forms.TypedMultipleChoiceField(coerce=TokenScope, widget=forms.CheckboxSelectMultiple)
    days = forms.TypedChoiceField(
        label="Expires after",
        coerce=int,
        choices=[(7, "7 days"), (30, "30 days"), (90, "90 days"), (365, "1 year")],
        initial=90,
    )
    requests_per_minute = forms.IntegerField(
        label="Requests per minute",
        min_value=1,
        max_value=MAX_REQUESTS_PER_MINUTE,
        initial=DEFAULT_REQUESTS_PER_MINUTE,
        required=False,
    )

    def __init__(self, role: Role, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["scopes"].choices = [  # type: ignore[attr-defined]
            (scope.value, SCOPE_LABELS[scope]) for scope in scopes_of_role(role)
        ]

    def clean_requests_per_minute(self) -> int:
        return self.cleaned_data["requests_per_minute"] or DEFAULT_REQUESTS_PER_MINUTE

    def expires_at(self) -> dt.datetime:
        """Return the end of the chosen lifetime. Valid forms only."""
        return timezone.now() + dt.timedelta(days=self.cleaned_data["days"])
