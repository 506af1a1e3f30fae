"""The form that creates an enrolment token."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django import forms
from django.conf import settings
from django.core.validators import RegexValidator
from django.utils import timezone
from django.utils.text import slugify

from accounts.forms.styled import StyledForm
from accounts.models import Viewer
from accounts.plain_text import one_line
from drift.fleet.domain.sensor_platforms import MANAGED, PLATFORMS, Platform
from drift.fleet.models import Cluster, Environment


class EnrolmentTokenForm(StyledForm):
    """An enrolment token for one environment of the viewer's, optionally for one cluster."""

    name = forms.CharField(max_length=128, validators=[one_line], label="Name")
    environment = forms.ModelChoiceField(Environment.objects.none(), label="Environment")
    cluster = forms.CharField(max_length=128, validators=[one_line], required=False, label="Cluster (empty: any)")
    days = forms.IntegerField(
        min_value=1, max_value=3_650, initial=30, label="Expires after (days; empty: never)", required=False
    )
    platform = forms.ChoiceField(
        choices=[("", "The cloud's own: AKS, EKS or GKE"), *((each.name, each.label) for each in PLATFORMS.values())],
        required=False,
        label="Kubernetes platform",
    )
    cluster_name = forms.CharField(
        max_length=128,
        validators=[one_line],
        required=False,
        label="Cluster in the commands",
        help_text="A new cluster, or group of hosts; empty: the cluster above, or the environment's name.",
    )
    image = forms.CharField(
        max_length=300,
        validators=[RegexValidator(r"^[A-Za-z0-9][A-Za-z0-9._:/@-]*$", "Enter an image, as registry/name:tag.")],
        required=False,
        label="Sensor image",
        help_text="Where your nodes pull it from.",
    )
    max_live_nodes = forms.IntegerField(min_value=1, max_value=1_000_000, initial=1_000, label="Maximum nodes")

    def __init__(self, viewer: Viewer, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choices = Environment.objects.visible_to(viewer).filter(retired_at=None).order_by("provider", "name")
        field = self.fields["environment"]
        assert isinstance(field, forms.ModelChoiceField)  # noqa: S101 - declared above
        field.queryset = choices
        self.fields["image"].initial = default_image()

    def clean(self) -> dict[str, Any]:
        """Replace the cluster's name by the environment's cluster of that name."""
        data = super().clean() or self.cleaned_data
        name, environment = data.get("cluster"), data.get("environment")
        if name and environment:
            data["cluster"] = Cluster.objects.filter(environment=environment, name=name).first()
            if data["cluster"] is None:
                self.add_error("cluster", "This environment has no cluster of that name yet; leave it empty.")
        return data

    def chosen_image(self) -> str:
        """Return the image that the commands name."""
        return self.cleaned_data.get("image") or default_image()

    def chosen_platform(self) -> Platform:
        """Return the platform, where none is chosen that of the cluster, or else of the environment's cloud."""
        cluster, environment = self.cleaned_data.get("cluster"), self.cleaned_data["environment"]
        known = cluster.distribution if cluster else MANAGED[environment.provider]
        return PLATFORMS[self.cleaned_data.get("platform") or known]

    def chosen_cluster(self, otherwise: str = "") -> str:
        """Return the cluster's name in the commands; where none is given `otherwise`, or the environment's."""
        cluster, environment = self.cleaned_data.get("cluster"), self.cleaned_data["environment"]
        typed = cluster.name if cluster else self.cleaned_data.get("cluster_name")
        return typed or otherwise or slugify(environment.name) or "cluster"

    def expiry(self) -> dt.datetime | None:
        """Return when the token expires; None for never."""
        days = self.cleaned_data.get("days")
        return timezone.now() + dt.timedelta(days=days) if days else None


def default_image() -> str:
    """Return the sensor's image of this release, as the setting says."""
    return settings.SENSOR_IMAGE or f"registry.example/driftwatch-sensor:{release()}"


def release() -> str:
    """Return the release of this portal, without its commit: sensors of the same are what it installs."""
    return str(settings.PORTAL_VERSION).partition("+")[0]
