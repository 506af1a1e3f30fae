"""What people type about the estate."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django import forms
from django.utils import timezone

from accounts.forms import StyledForm
from accounts.models import Viewer
from drift.fleet.models import Cluster, Environment, Provider, RolloutPlan


class EnvironmentForm(StyledForm):
    """A cloud account to watch."""

    provider = forms.ChoiceField(choices=Provider, label="Cloud")
    account = forms.CharField(max_length=256, label="Account id", help_text="Subscription, account or project id")
    name = forms.CharField(max_length=128)


class EnvironmentChangeForm(StyledForm):
    """What of an environment can change by this; the account stays."""

    name = forms.CharField(max_length=128)
    proof = forms.BooleanField(
        required=False,
        label="Proof of detection",
        help_text="Once an hour each sensor runs a harmless drift of its own, which must come through here.",
    )


class EnrolmentTokenForm(StyledForm):
    """An enrolment token."""

    name = forms.CharField(max_length=128, label="Name")
    environment = forms.ModelChoiceField(Environment.objects.none(), label="Environment")
    cluster = forms.CharField(max_length=128, required=False, label="Only for cluster (empty: any)")
    days = forms.IntegerField(
        min_value=1, max_value=3_650, initial=30, label="Days until it expires (empty: never)", required=False
    )
    max_live_nodes = forms.IntegerField(min_value=1, max_value=1_000_000, initial=1_000, label="Most live nodes")

    def __init__(self, viewer: Viewer, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choices = Environment.objects.visible_to(viewer).filter(retired_at=None).order_by("provider", "name")
        field = self.fields["environment"]
        assert isinstance(field, forms.ModelChoiceField)  # noqa: S101 - declared above
        field.queryset = choices

    def clean(self) -> dict[str, Any]:
        """The cluster by name must be one of the environment's."""
        data = super().clean() or self.cleaned_data
        name, environment = data.get("cluster"), data.get("environment")
        if name and environment:
            data["cluster"] = Cluster.objects.filter(environment=environment, name=name).first()
            if data["cluster"] is None:
                self.add_error("cluster", "This environment has no cluster of that name yet; leave it empty.")
        return data

    def expires_at(self) -> dt.datetime | None:
        """When it ends; None for never."""
        days = self.cleaned_data.get("days")
        return timezone.now() + dt.timedelta(days=days) if days else None


class RolloutPlanForm(StyledForm):
    """How versions go out: chosen environments first, then shares of the fleet, then everybody."""

    environments = forms.ModelMultipleChoiceField(
        Environment.objects.none(), required=False, label="First in these environments"
    )
    percents = forms.RegexField(
        r"^\s*(\d{1,2}\s*(,\s*\d{1,2}\s*)*)?$",
        required=False,
        label="Then to this share of all sensors, in percent",
        help_text="1 to 99, rising, commas between: 5, 25. Nothing here and above: all at once.",
        error_messages={"invalid": "Numbers from 1 to 99 with commas between, as in 5, 25."},
    )
    pause_minutes = forms.IntegerField(min_value=0, max_value=10_080, label="Minutes between two waves")
    max_rejected = forms.IntegerField(min_value=0, max_value=100, label="Halt when more than this percent reject it")
    max_alerts = forms.IntegerField(
        min_value=1,
        max_value=1_000,
        required=False,
        label="Halt when alerts grow to more than this many times as before",
        help_text="Alerts of the sensors that run it, against their hour before. Empty: never.",
    )

    def __init__(self, viewer: Viewer, plan: RolloutPlan, *args: Any, **kwargs: Any) -> None:
        percents = [str(wave["percent"]) for wave in plan.waves if "percent" in wave]
        initial = {
            "environments": [pk for wave in plan.waves for pk in wave.get("environments", [])],
            "percents": ", ".join(percents),
            "pause_minutes": plan.pause_minutes,
            "max_rejected": plan.max_rejected,
            "max_alerts": plan.max_alerts,
        }
        super().__init__(*args, initial=initial, **kwargs)
        field = self.fields["environments"]
        assert isinstance(field, forms.ModelMultipleChoiceField)  # noqa: S101 - declared above
        field.queryset = Environment.objects.visible_to(viewer).filter(retired_at=None).order_by("provider", "name")

    def clean_percents(self) -> list[int]:
        """Rising, so that each wave adds sensors."""
        percents = [int(part) for part in self.cleaned_data["percents"].split(",") if part.strip()]
        if percents != sorted(set(percents)) or 0 in percents:
            raise forms.ValidationError("Each share must be larger than the one before, from 1 to 99.")
        return percents

    def waves(self) -> list[dict[str, Any]]:
        """As RolloutPlan keeps them."""
        chosen = sorted(environment.pk for environment in self.cleaned_data["environments"])
        first = [{"environments": chosen}] if chosen else []
        return [*first, *({"percent": percent} for percent in self.cleaned_data["percents"])]
