"""Sensors: identity, last report, and last proof of detection."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import ClassVar, Final

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q, Value
from django.utils import timezone

from accounts.models import ScopedBy, VisibleQuerySet
from drift.fleet.models.estate import Cluster, EnrolmentToken
from drift.policy.models import PolicyVersion

NEVER: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
"""Default of times that are compared with others, so that they need not be null."""


class SensorState(models.TextChoices):
    LIVE = "live", "Live"
    RELEASED = "released", "Released"
    REVOKED = "revoked", "Revoked"
    RETIRED = "retired", "Retired"


class Sensor(models.Model):
    """The sensor on one node, authenticated by the credential that it received when it enrolled.

    `desired_version` is the version that it should apply, `applied_number` the version that it reports as applied; the
    difference is its lag. What changes with every heartbeat is in SensorStatus, so that this row is rarely updated.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    cluster = models.ForeignKey(Cluster, on_delete=models.PROTECT, related_name="sensors")
    node = models.CharField(max_length=253)
    state = models.CharField(max_length=16, choices=SensorState, default=SensorState.LIVE)
    credential_prefix = models.CharField(max_length=16, unique=True)
    credential_digest = models.BinaryField(max_length=32)
    enrolment_token = models.ForeignKey(EnrolmentToken, on_delete=models.PROTECT, related_name="sensors")
    enrolled_at = models.DateTimeField(default=timezone.now)
    ended_at = models.DateTimeField(null=True, blank=True)
    desired_version = models.ForeignKey(PolicyVersion, on_delete=models.PROTECT, null=True, related_name="+")
    applied_number = models.PositiveIntegerField(null=True, blank=True)
    applied_at = models.DateTimeField(null=True, blank=True)
    bundle_at = models.DateTimeField(null=True, blank=True)
    """`created_at` of the bundle that it acknowledged last: which switch of blocking and which keys it knows."""
    quarantined_at = models.DateTimeField(null=True, blank=True)
    set_aside_since = models.DateTimeField(null=True, blank=True)
    """While it is in quarantine, alerts that it opened from then on are set aside (docs/alerts.md#quarantine)."""
    took_over_at = models.DateTimeField(null=True, blank=True)
    contested_at = models.DateTimeField(null=True, blank=True)
    """When it replaced its node's silent sensor, and when that one last called again
    (docs/delivery.md#recreated-nodes)."""

    visibility: ClassVar = ScopedBy(cluster="cluster", namespace=None)
    objects = VisibleQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["cluster", "node"], condition=Q(state="live"), name="one_live_sensor_per_node"
            ),
            models.CheckConstraint(condition=Q(state__in=SensorState.values), name="sensor_state_is_known"),
            models.CheckConstraint(
                condition=Q(state="live", ended_at__isnull=True) | (~Q(state="live") & Q(ended_at__isnull=False)),
                name="sensor_end_is_dated",
            ),
            models.CheckConstraint(
                condition=Q(quarantined_at=None, set_aside_since=None)
                | Q(quarantined_at__isnull=False, set_aside_since__lte=models.F("quarantined_at")),
                name="quarantine_has_a_start",
            ),
        ]
        indexes: ClassVar = [
            models.Index(
                fields=["quarantined_at"], condition=Q(quarantined_at__isnull=False), name="sensors_in_quarantine"
            ),
            models.Index(fields=["cluster", "node"], name="sensors_of_node"),
            models.Index(fields=["id"], condition=Q(state="live"), name="live_sensors"),
            models.Index(fields=["desired_version"], condition=Q(state="live"), name="live_by_desired"),
            models.Index(fields=["enrolment_token"], condition=Q(state="live"), name="live_by_token"),
        ]

    def __str__(self) -> str:
        return self.node


class SensorStatus(models.Model):
    """The content of the last heartbeat, and which sensor processes were seen."""

    sensor = models.OneToOneField(Sensor, on_delete=models.CASCADE, primary_key=True, related_name="status")
    last_seen_at = models.DateTimeField(default=timezone.now)
    sensor_version = models.CharField(max_length=64, blank=True)
    kubernetes_version = models.CharField(max_length=64, blank=True)
    backend = models.CharField(max_length=32, blank=True)
    capabilities = ArrayField(models.CharField(max_length=32), default=list)
    counters = models.JSONField(default=dict)
    lost_total = models.BigIntegerField(default=0)
    """The sum of `counters.lost`; a sensor process starts at 0."""
    lost_at = models.DateTimeField(null=True, blank=True)
    """When the last heartbeat arrived in which it had increased."""
    key_ids = ArrayField(models.CharField(max_length=64), null=True, blank=True)
    """Signing keys that the sensor accepts; null from older sensors, which do not report them."""
    gaps = models.JSONField(default=list, db_default=Value([], models.JSONField()))
    """Containers that are monitored in part, as the wire has them: the first of `gap_count`."""
    gap_count = models.BigIntegerField(default=0, db_default=0)
    paused_rules = models.JSONField(default=list, db_default=Value([], models.JSONField()))
    """Rules whose blocking the kill limit has paused there, as the wire has them."""
    clock_offset = models.FloatField(null=True, blank=True)
    """Seconds by which the node's clock was ahead of the portal's, its way here included; null from older sensors."""
    machine_digest = models.CharField(max_length=32, blank=True, default="", db_default="")
    boot_digest = models.CharField(max_length=32, blank=True, default="", db_default="")
    """Of the machine and its boot (docs/delivery.md#recreated-nodes); empty from older sensors."""
    run_id = models.CharField(max_length=32, blank=True, default="", db_default="")
    """The process seen last; the one before is `previous_run`, older ones, newest first, are in `earlier_runs`.
    `returns` counts how often a replaced process was seen again (docs/delivery.md#shared-credentials)."""
    run_at = models.DateTimeField(default=NEVER, db_default=NEVER)
    previous_run = models.CharField(max_length=32, blank=True, default="", db_default="")
    earlier_runs = ArrayField(models.CharField(max_length=32), default=list, db_default=[])
    returns = models.PositiveSmallIntegerField(default=0, db_default=0)
    returned_at = models.DateTimeField(null=True, blank=True)

    visibility: ClassVar = ScopedBy(cluster="sensor__cluster", namespace=None)

    class Meta:
        indexes: ClassVar = [models.Index(fields=["last_seen_at"], name="status_by_last_seen")]

    def __str__(self) -> str:
        return f"{self.sensor_id} seen {self.last_seen_at}"


class Proof(models.Model):
    """The last canary of a sensor that reached the portal: when it ran, and how many seconds it took."""

    sensor = models.OneToOneField(Sensor, on_delete=models.CASCADE, primary_key=True, related_name="proof")
    seen_at = models.DateTimeField()
    seconds = models.FloatField()

    visibility: ClassVar = ScopedBy(cluster="sensor__cluster", namespace=None)

    class Meta:
        constraints: ClassVar = [models.CheckConstraint(condition=Q(seconds__gte=0), name="proof_takes_time")]

    def __str__(self) -> str:
        return f"{self.sensor_id} proven {self.seen_at}"


class SensorLoss(models.Model):
    """Executions or events that a sensor counted as lost, in one hour (UTC) of its heartbeats.

    What was lost is between `since`, its heartbeat before, and `until`, the one that reported it. Kept as long as
    events: a noise budget absorbs nothing of these periods (docs/noise-budget.md#what-it-refuses).
    """

    pk = models.CompositePrimaryKey("sensor_id", "hour")
    sensor = models.ForeignKey(Sensor, on_delete=models.CASCADE, related_name="losses", db_index=False)
    hour = models.DateTimeField()
    since = models.DateTimeField()
    until = models.DateTimeField()
    lost = models.BigIntegerField()

    visibility: ClassVar = ScopedBy(cluster="sensor__cluster", namespace=None)

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(since__lte=models.F("until")), name="loss_has_a_period"),
            models.CheckConstraint(condition=Q(lost__gte=1), name="loss_is_counted"),
        ]
        indexes: ClassVar = [models.Index(fields=["until"], name="losses_by_end")]

    def __str__(self) -> str:
        return f"{self.sensor_id} lost {self.lost} until {self.until}"
