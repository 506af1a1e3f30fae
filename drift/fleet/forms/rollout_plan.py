"""The form of the rollout plan."""

from __future__ import annotations

from typing import Any

from django import forms

from accounts.forms.styled import StyledForm
from accounts.models import Viewer
from drift.fleet.models import Environment, RolloutPlan


class RolloutPlanForm(StyledForm):
    """The plan of later versions: chosen environments first, then shares of the fleet, then all sensors."""

    environments = forms.ModelMultipleChoiceField(
        Environment.objects.none(), required=False, label="Environments of the first wave"
    )
    percents = forms.RegexField(
        r"^\s*(\d{1,2}\s*(,\s*\d{1,2}\s*)*)?$",
        required=False,
        label="Shares of all sensors after that, in percent",
        help_text="Increasing, from 1 to 99, separated by commas: 5, 25. Leave both empty for no waves.",
        error_messages={"invalid": "Enter numbers from 1 to 99 separated by commas, as in 5, 25."},
    )
    pause_minutes = forms.IntegerField(min_value=0, max_value=10_080, label="Minutes between waves")
    max_rejected = forms.IntegerField(min_value=0, max_value=100, label="Halt above this rejection rate, in percent")
    max_alerts = forms.IntegerField(
        min_value=1,
        max_value=1_000,
        required=False,
        label="Halt above this multiple of the alert rate",
        help_text="Alerts of updated sensors, compared with the hour before the save. Empty: never.",
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
        """Return the shares, which must increase so that each wave adds sensors."""
        percents = [int(part) for part in self.cleaned_data["percents"].split(",") if part.strip()]
        if percents != sorted(set(percents)) or 0 in percents:
            raise forms.ValidationError("Each share must be larger than the one before, from 1 to 99.")
        return percents

    def waves(self) -> list[dict[str, Any]]:
        """Return the waves as RolloutPlan stores them."""
        chosen = sorted(environment.pk for environment in self.cleaned_data["environments"])
        first = [{"environments": chosen}] if chosen else []
        return [*first, *({"percent": percent} for percent in self.cleaned_data["percents"])]
