"""The form that creates an enrolment token."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django import forms
from django.utils import timezone

from accounts.forms.styled import StyledForm
from accounts.models import Viewer
from accounts.plain_text import one_line
from drift.fleet.models import Cluster, Environment


class EnrolmentTokenForm(StyledForm):
    """An enrolment token for one environment of the viewer's, optionally for one cluster."""

    name = forms.CharField(max_length=128, validators=[one_line], label="Name")
    environment = forms.ModelChoiceField(Environment.objects.none(), label="Environment")
    cluster = forms.CharField(max_length=128, validators=[one_line], required=False, label="Cluster (empty: any)")
    days = forms.IntegerField(
        min_value=1, max_value=3_650, initial=30, label="Expires after (days; empty: never)", required=False
    )
    max_live_nodes = forms.IntegerField(min_value=1, max_value=1_000_000, initial=1_000, label="Maximum nodes")

    def __init__(self, viewer: Viewer, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choices = Environment.objects.visible_to(viewer).filter(retired_at=None).order_by("provider", "name")
        field = self.fields["environment"]
        assert isinstance(field, forms.ModelChoiceField)  # noqa: S101 - declared above
        field.queryset = choices

    def clean(self) -> dict[str, Any]:
        """Replace the cluster's name by the environment's cluster of that name."""
        data = super().clean() or self.cleaned_data
        name, environment = data.get("cluster"), data.get("environment")
        if name and environment:
            data["cluster"] = Cluster.objects.filter(environment=environment, name=name).first()
            if data["cluster"] is None:
                self.add_error("cluster", "This environment has no cluster of that name yet; leave it empty.")
        return data

    def expiry(self) -> dt.datetime | None:
        """Return when the token expires; None for never."""
        days = self.cleaned_data.get("days")
        return timezone.now() + dt.timedelta(days=days) if days else None
