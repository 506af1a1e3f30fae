"""Rollouts of versions, the plan of the next ones, and the delivery to each sensor."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils import timezone

from accounts.models import Everybody, ScopedBy, VisibleQuerySet, WholeEstateOnly
from drift.fleet.models.sensors import Sensor
from drift.policy.models import PolicyVersion


class RolloutPlan(models.Model):
    """The single row with the plan for new versions' rollouts.

    Each of `waves` is `{"percent": 10}` (of all sensors, by id, so always the same ones) or `{"environments": [1, 2]}`;
    after the last wave every sensor follows. Without waves all sensors get a version at once.
    """

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    waves = models.JSONField(default=list)
    pause_minutes = models.PositiveIntegerField(default=30)
    max_rejected = models.PositiveSmallIntegerField(default=5)
    """Percent of the notified sensors; a rollout in waves halts above it."""
    max_alerts = models.PositiveSmallIntegerField(null=True, blank=True, default=3, db_default=3)
    """Multiple of the alert rate of the hour before; a rollout in waves halts above it. Null: never."""

    visibility: ClassVar = WholeEstateOnly("the plan names environments, and is for Admins")

    class Meta:
        constraints: ClassVar = [models.CheckConstraint(condition=Q(id=1), name="one_rollout_plan")]

    def __str__(self) -> str:
        return f"{len(self.waves)} waves"


class Rollout(models.Model):
    """The distribution of one version to all sensors.

    `spread_to` is the last sensor id whose desired version was set. Chunks go in id order, so a worker that dies loses
    at most one chunk, and the sweeper continues from here once `progress_at` is old. Waves are copied from RolloutPlan
    when the version is saved, and the ids start again for each: `waves_left` counts the waves before all sensors
    follow, `waiting_until` is set between two waves.
    """

    version = models.OneToOneField(PolicyVersion, on_delete=models.PROTECT, related_name="rollout")
    created_at = models.DateTimeField(default=timezone.now)
    spread_to = models.UUIDField(null=True, blank=True)
    progress_at = models.DateTimeField(default=timezone.now)
    asks_within = models.FloatField(default=0, db_default=0)
    """Seconds over which the sensors of this wave spread their fetches; computed when the wave begins."""
    spread_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    waves = models.JSONField(default=list)
    waves_left = models.PositiveSmallIntegerField(default=0)
    pause_minutes = models.PositiveIntegerField(default=0)
    max_rejected = models.PositiveSmallIntegerField(null=True, blank=True)
    """Percent; null: rejections never halt it."""
    max_alerts = models.PositiveSmallIntegerField(null=True, blank=True)
    """Multiple of the alert rate of the hour before; null: alerts never halt it."""
    waiting_until = models.DateTimeField(null=True, blank=True)
    paused_at = models.DateTimeField(null=True, blank=True)
    pause_reason = models.CharField(max_length=200, blank=True)

    visibility: ClassVar = Everybody("how far a version of the one policy is; its sensors are scoped")
    objects = VisibleQuerySet.as_manager()

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["created_at"], condition=Q(finished_at=None), name="rollouts_running")
        ]

    def __str__(self) -> str:
        return f"rollout of {self.version_id}"


class DeliveryState(models.TextChoices):
    PENDING = "pending", "Pending"
    FETCHED = "fetched", "Fetched"
    APPLIED = "applied", "Applied"
    REJECTED = "rejected", "Rejected"
    SUPERSEDED = "superseded", "Superseded"


class Delivery(models.Model):
    """The delivery of one version to one sensor (docs/delivery.md#states-of-a-delivery)."""

    rollout = models.ForeignKey(Rollout, on_delete=models.CASCADE, related_name="deliveries")
    sensor = models.ForeignKey(Sensor, on_delete=models.CASCADE, related_name="deliveries")
    state = models.CharField(max_length=16, choices=DeliveryState, default=DeliveryState.PENDING)
    created_at = models.DateTimeField(default=timezone.now)
    fetched_at = models.DateTimeField(null=True, blank=True)
    acknowledged_at = models.DateTimeField(null=True, blank=True)
    error = models.CharField(max_length=2_000, blank=True)

    visibility: ClassVar = ScopedBy(cluster="sensor__cluster", namespace=None)
    objects = VisibleQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["rollout", "sensor"], name="one_delivery_per_sensor"),
            models.CheckConstraint(condition=Q(state__in=DeliveryState.values), name="delivery_state_is_known"),
        ]
        indexes: ClassVar = [
            models.Index(fields=["sensor", "rollout"], name="deliveries_of_sensor"),
            models.Index(fields=["rollout", "state"], name="deliveries_by_state"),
        ]

    def __str__(self) -> str:
        return f"{self.rollout_id} → {self.sensor_id}: {self.state}"
