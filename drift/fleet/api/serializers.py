"""Serializers of the fleet's API."""

from __future__ import annotations

from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema_serializer
from rest_framework import serializers

from accounts.plain_text import one_line
from drift.fleet.models import (
    Cluster,
    Delivery,
    EnrolmentToken,
    Environment,
    Provider,
    Rollout,
    Sensor,
    SensorState,
    SensorStatus,
)
from drift.fleet.queries.rollouts import Progress
from drift.fleet.queries.sensors import is_offline, lag
from drift.web.serializers import StrictSerializer

MAX_PAGE = 1_000


class FleetInput(StrictSerializer):
    """Input of the fleet's API."""

    unknown_key: ClassVar = ("Unknown field.", "unknown_field")


class PageQuery(FleetInput):
    """`limit` results from behind the cursor `after`."""

    limit = serializers.IntegerField(min_value=1, max_value=MAX_PAGE, default=100)
    after = serializers.CharField(required=False, help_text="The `next` of the previous page.")


class ClusterQuery(PageQuery):
    environment = serializers.IntegerField(required=False)


class SensorQuery(PageQuery):
    cluster = serializers.IntegerField(required=False)
    state = serializers.ChoiceField(SensorState.choices, required=False)


class SensorQuarantine(FleetInput):
    since = serializers.DateTimeField(required=False, allow_null=True, default=None)


class EnvironmentSerializer(serializers.ModelSerializer[Environment]):
    class Meta:
        model = Environment
        fields = (
            *("id", "provider", "account", "name", "sensor_enabled", "proved_since", "exec_history"),
            *("retired_at", "created_at"),
        )


class NewEnvironment(FleetInput):
    provider = serializers.ChoiceField(Provider.choices)
    account = serializers.CharField(max_length=256, validators=[one_line])
    name = serializers.CharField(max_length=128, validators=[one_line])


class EnvironmentChange(FleetInput):
    """Omitted fields keep their value."""

    name = serializers.CharField(max_length=128, required=False, validators=[one_line])
    sensor_enabled = serializers.BooleanField(required=False)
    proof = serializers.BooleanField(
        required=False, help_text="Whether its sensors run a proof of detection every hour."
    )
    exec_history = serializers.BooleanField(
        required=False, help_text="Whether its sensors report what containers execute around their drift."
    )
    retired = serializers.BooleanField(required=False)


class ClusterSerializer(serializers.ModelSerializer[Cluster]):
    class Meta:
        model = Cluster
        fields = ("id", "environment", "name", "distribution", "kubernetes_version", "created_at")


class StatusSerializer(serializers.ModelSerializer[SensorStatus]):
    class Meta:
        model = SensorStatus
        fields = ("last_seen_at", "sensor_version", "kubernetes_version", "backend", "capabilities", "counters")


class SensorSerializer(serializers.ModelSerializer[Sensor]):
    desired_number = serializers.IntegerField(source="desired_version_id", allow_null=True)
    lag = serializers.SerializerMethodField()
    offline = serializers.SerializerMethodField()
    status = serializers.SerializerMethodField()

    class Meta:
        model = Sensor
        fields = (
            *("id", "cluster", "node", "state", "enrolled_at", "ended_at", "desired_number", "applied_number"),
            *("applied_at", "lag", "offline", "quarantined_at", "set_aside_since", "status"),
        )

    def get_lag(self, sensor: Sensor) -> int:
        return lag(sensor)

    def get_offline(self, sensor: Sensor) -> bool:
        return is_offline(sensor)

    def get_status(self, sensor: Sensor) -> dict[str, Any] | None:
        """The content of the last heartbeat; null before the first."""
        status = getattr(sensor, "status", None)
        return dict(StatusSerializer(status).data) if status else None


class TokenSerializer(serializers.ModelSerializer[EnrolmentToken]):
    live_nodes = serializers.IntegerField(read_only=True, default=0)

    class Meta:
        model = EnrolmentToken
        fields = (
            *("id", "name", "prefix", "environment", "cluster", "expires_at", "max_live_nodes", "live_nodes"),
            *("revoked_at", "created_at"),
        )


@extend_schema_serializer(component_name="NewToken")
class NewEnrolmentToken(FleetInput):
    name = serializers.CharField(max_length=128, validators=[one_line])
    environment = serializers.IntegerField()
    cluster = serializers.IntegerField(required=False, allow_null=True, default=None)
    expires_at = serializers.DateTimeField(required=False, allow_null=True, default=None)
    max_live_nodes = serializers.IntegerField(min_value=1, max_value=1_000_000, default=1_000)


class MadeToken(TokenSerializer):
    """`token` is the token itself, which no later response contains."""

    token = serializers.CharField()

    class Meta:
        model = EnrolmentToken
        fields = (*TokenSerializer.Meta.fields, "token")


class RolloutSerializer(serializers.ModelSerializer[Rollout]):
    number = serializers.IntegerField(source="version_id")
    progress = serializers.SerializerMethodField()

    class Meta:
        model = Rollout
        fields = (
            *("number", "created_at", "spread_at", "finished_at", "progress"),
            *("waves", "waves_left", "pause_minutes", "max_rejected", "max_alerts"),
            *("waiting_until", "paused_at", "pause_reason"),
        )

    def get_progress(self, rollout: Rollout) -> dict[str, int]:
        """Counts of the sensors that it waits for: `total`, and by state."""
        progress: Progress = self.context["progress"][rollout.version_id]
        return {"total": progress.total, **progress.by_state}


class WaveSerializer(FleetInput):
    """Either `percent`, 1 to 99 of all sensors, or `environments`."""

    schema_bounds: ClassVar = {"minProperties": 1, "maxProperties": 1}
    percent = serializers.IntegerField(min_value=1, max_value=99, required=False)
    environments = serializers.ListField(
        child=serializers.IntegerField(), required=False, min_length=1, max_length=1000
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if len(attrs) != 1:
            raise serializers.ValidationError(
                "A wave is either a percentage or a list of environments.", code="invalid"
            )
        return attrs


class PlanSerializer(FleetInput):
    """How later versions are rolled out: the waves, then all sensors. No waves: all sensors at once."""

    waves = WaveSerializer(many=True, max_length=20)  # type: ignore[call-arg]  # a list's, by many=True
    pause_minutes = serializers.IntegerField(min_value=0, max_value=10_080)
    max_rejected = serializers.IntegerField(min_value=0, max_value=100, help_text="Percent; a rollout halts above it.")
    max_alerts = serializers.IntegerField(
        min_value=1,
        max_value=1_000,
        allow_null=True,
        default=3,
        help_text="Multiple of the alert rate before; a rollout halts above it. Null: never.",
    )


class DeliverySerializer(serializers.ModelSerializer[Delivery]):
    class Meta:
        model = Delivery
        fields = ("id", "sensor", "state", "created_at", "fetched_at", "acknowledged_at", "error")


class BundleSerializer(serializers.Serializer[Any]):
    """A signed version: an Ed25519 signature over exactly the payload's bytes, both in base64."""

    key_id = serializers.CharField()
    signature = serializers.CharField()
    payload = serializers.CharField()


class PublicKeySerializer(serializers.Serializer[Any]):
    """An Ed25519 public key: 32 raw bytes in base64."""

    key_id = serializers.CharField()
    public_key = serializers.CharField()


class PublicKeysSerializer(serializers.Serializer[Any]):
    """All keys that sensors accept."""

    results = PublicKeySerializer(many=True)


class BlockingSerializer(serializers.Serializer[Any]):
    """Whether all blocking is stopped, when that was switched, and how many active sensors acknowledged it."""

    blocking_stopped = serializers.BooleanField()
    blocking_changed_at = serializers.DateTimeField()
    blocking_reason = serializers.CharField(help_text="Why it was stopped; empty where nobody said.")
    acknowledged = serializers.IntegerField()
    sensors = serializers.IntegerField()
    resume_asked_by = serializers.EmailField(
        allow_null=True, help_text="Who asked to resume, where a second person must."
    )


class BlockingChange(FleetInput):
    blocking_stopped = serializers.BooleanField()
    reason = serializers.CharField(
        default="",
        allow_blank=True,
        max_length=1_000,
        validators=[one_line],
        help_text="Why blocking is stopped, shown to everybody; not used where it is resumed.",
    )
