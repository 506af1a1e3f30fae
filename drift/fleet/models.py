"""Environments, clusters, sensors; rollouts of versions and their delivery to each sensor."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils import timezone

from accounts.models import User, VisibleQuerySet
from drift.policy.models import PolicyVersion

LONG_AGO = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


class Provider(models.TextChoices):
    AZURE = "azure", "Azure"
    AWS = "aws", "AWS"
    GCP = "gcp", "GCP"


class Distribution(models.TextChoices):
    AKS = "aks", "AKS"
    EKS = "eks", "EKS"
    GKE = "gke", "GKE"
    OTHER = "other", "Other"


class Environment(models.Model):
    """A cloud account: Azure subscription, AWS account or GCP project."""

    provider = models.CharField(max_length=8, choices=Provider)
    account = models.CharField(max_length=256)
    name = models.CharField(max_length=128)
    sensor_enabled = models.BooleanField(default=True)
    proved_since = models.DateTimeField(null=True, blank=True)
    """Since when its sensors prove their detection (drift.fleet.actions.detection_proofs); None: they do not."""
    retired_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now)

    objects = VisibleQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["provider", "account"], name="one_environment_per_account"),
            models.CheckConstraint(condition=Q(provider__in=Provider.values), name="provider_is_known"),
        ]

    def __str__(self) -> str:
        return self.name


class Cluster(models.Model):
    """A Kubernetes cluster, or a group of plain hosts (distribution *other*, no version)."""

    environment = models.ForeignKey(Environment, on_delete=models.PROTECT, related_name="clusters")
    name = models.CharField(max_length=128)
    distribution = models.CharField(max_length=8, choices=Distribution)
    kubernetes_version = models.CharField(max_length=64, null=True, blank=True)  # noqa: DJ001 - None: no Kubernetes
    created_at = models.DateTimeField(default=timezone.now)

    objects = VisibleQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["environment", "name"], name="one_cluster_per_name"),
            models.CheckConstraint(condition=Q(distribution__in=Distribution.values), name="distribution_is_known"),
            models.CheckConstraint(
                condition=Q(kubernetes_version__isnull=False) | Q(distribution="other"),
                name="only_plain_hosts_lack_a_version",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class EnrolmentToken(models.Model):
    """Lets sensors enrol into one environment, optionally one cluster."""

    name = models.CharField(max_length=128)
    prefix = models.CharField(max_length=16, unique=True)
    digest = models.BinaryField(max_length=32)
    environment = models.ForeignKey(Environment, on_delete=models.PROTECT, related_name="enrolment_tokens")
    cluster = models.ForeignKey(Cluster, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    expires_at = models.DateTimeField(null=True, blank=True)
    max_live_nodes = models.PositiveIntegerField(default=1_000)
    revoked_at = models.DateTimeField(null=True, blank=True)
    created_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    created_at = models.DateTimeField(default=timezone.now)

    objects = VisibleQuerySet.as_manager()

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix})"


class SensorState(models.TextChoices):
    LIVE = "live", "Live"
    RELEASED = "released", "Released"
    REVOKED = "revoked", "Revoked"
    RETIRED = "retired", "Retired"


class Sensor(models.Model):
    """The program on one node, known by its own credential since it enrolled.

    `desired_version` is what it should run, `applied_number` what it says it runs: the difference
    is its lag. What changes with every heartbeat is in SensorStatus, so that this row stays cold.
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
    """The date of the bundle that it obeys: since when it has heard of stopped blocking and of keys."""

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
        ]
        indexes: ClassVar = [
            models.Index(fields=["cluster", "node"], name="sensors_of_node"),
            models.Index(fields=["id"], condition=Q(state="live"), name="live_sensors"),
            models.Index(fields=["desired_version"], condition=Q(state="live"), name="live_by_desired"),
            models.Index(fields=["enrolment_token"], condition=Q(state="live"), name="live_by_token"),
        ]

    def __str__(self) -> str:
        return self.node


class SensorStatus(models.Model):
    """What the last heartbeat said."""

    sensor = models.OneToOneField(Sensor, on_delete=models.CASCADE, primary_key=True, related_name="status")
    last_seen_at = models.DateTimeField(default=timezone.now)
    sensor_version = models.CharField(max_length=64, blank=True)
    kubernetes_version = models.CharField(max_length=64, blank=True)
    backend = models.CharField(max_length=32, blank=True)
    capabilities = ArrayField(models.CharField(max_length=32), default=list)
    counters = models.JSONField(default=dict)
    lost_total = models.BigIntegerField(default=0)
    """All that `counters.lost` counts; a sensor that starts again begins at 0."""
    lost_at = models.DateTimeField(null=True, blank=True)
    """The last heartbeat in which it had grown."""
    key_ids = ArrayField(models.CharField(max_length=64), null=True, blank=True)
    """Signing keys that it accepts; None where it does not say."""
    run_id = models.CharField(max_length=32, blank=True, default="", db_default="")
    """The process that spoke last, before it `previous_run`, and those before, the latest first, in `earlier_runs`;
    `returns` counts how often one came back."""
    run_at = models.DateTimeField(default=LONG_AGO, db_default=LONG_AGO)
    previous_run = models.CharField(max_length=32, blank=True, default="", db_default="")
    earlier_runs = ArrayField(models.CharField(max_length=32), default=list, db_default=[])
    returns = models.PositiveSmallIntegerField(default=0, db_default=0)
    returned_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes: ClassVar = [models.Index(fields=["last_seen_at"], name="status_by_last_seen")]

    def __str__(self) -> str:
        return f"{self.sensor_id} seen {self.last_seen_at}"


class Proof(models.Model):
    """The last canary of a sensor that came through: when it ran, and how long it took to the portal."""

    sensor = models.OneToOneField(Sensor, on_delete=models.CASCADE, primary_key=True, related_name="proof")
    seen_at = models.DateTimeField()
    seconds = models.FloatField()

    class Meta:
        constraints: ClassVar = [models.CheckConstraint(condition=Q(seconds__gte=0), name="proof_takes_time")]

    def __str__(self) -> str:
        return f"{self.sensor_id} proven {self.seen_at}"


class SigningKey(models.Model):
    """An Ed25519 key that signs bundles; the private half is sealed with SECRET_KEY.

    Sensors accept all that are not retired. Of those the one promoted last signs; one that was never
    promoted waits until sensors know it.
    """

    key_id = models.CharField(max_length=32, primary_key=True)
    public_key = models.BinaryField(max_length=32)
    sealed_private_key = models.BinaryField()
    created_at = models.DateTimeField(default=timezone.now)
    promoted_at = models.DateTimeField(null=True, blank=True)
    retired_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return self.key_id


class Bundle(models.Model):
    """A version as sensors get it: exact signed bytes.

    `created_at` is in the payload: at an equal number sensors obey the later one, so each time
    blocking is stopped or resumed, or the set of keys changes, a version gets one bundle more.
    """

    version = models.ForeignKey(PolicyVersion, on_delete=models.PROTECT, related_name="bundles")
    blocking_stopped = models.BooleanField()
    payload = models.BinaryField()
    etag = models.CharField(max_length=64, unique=True)
    key = models.ForeignKey(SigningKey, on_delete=models.PROTECT, related_name="+")
    signature = models.BinaryField(max_length=64)
    created_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["version", "blocking_stopped", "created_at"], name="one_bundle_per_state")
        ]

    def __str__(self) -> str:
        return f"{self.version_id} {self.etag[:12]}"


class FleetState(models.Model):
    """One row: what holds for the whole fleet. `epoch` rises with every push, so a lost one is noticed."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    blocking_stopped = models.BooleanField(default=False)
    blocking_changed_at = models.DateTimeField(default=timezone.now)
    keys_changed_at = models.DateTimeField(default=LONG_AGO, db_default=LONG_AGO)
    epoch = models.PositiveBigIntegerField(default=0)

    class Meta:
        constraints: ClassVar = [models.CheckConstraint(condition=Q(id=1), name="one_fleet_state")]

    def __str__(self) -> str:
        return f"epoch {self.epoch}"


class RolloutPlan(models.Model):
    """One row: how the next versions go out.

    `waves` are tried one after the other, then everybody follows: each is `{"percent": 10}` (of all
    sensors, by id, so always the same) or `{"environments": [1, 2]}`. No waves: all at once.
    """

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    waves = models.JSONField(default=list)
    pause_minutes = models.PositiveIntegerField(default=30)
    max_rejected = models.PositiveSmallIntegerField(default=5)
    """Percent of the sensors told; past it a rollout in waves halts."""
    max_alerts = models.PositiveSmallIntegerField(null=True, blank=True, default=3, db_default=3)
    """Times the alerts of the hour before; past it a rollout in waves halts. None: never."""

    class Meta:
        constraints: ClassVar = [models.CheckConstraint(condition=Q(id=1), name="one_rollout_plan")]

    def __str__(self) -> str:
        return f"{len(self.waves)} waves"


class Rollout(models.Model):
    """One version on its way to all sensors.

    `spread_to` is the last sensor id whose desired version was set: the chunks go in id order, so a
    worker that dies loses at most one chunk's work, and the sweeper goes on from here once
    `progress_at` is old. In waves (RolloutPlan, copied when the version was saved) the spread begins
    anew for each: `waves_left` counts those before everybody's turn, `waiting_until` is set between two.
    """

    version = models.OneToOneField(PolicyVersion, on_delete=models.PROTECT, related_name="rollout")
    created_at = models.DateTimeField(default=timezone.now)
    spread_to = models.UUIDField(null=True, blank=True)
    progress_at = models.DateTimeField(default=timezone.now)
    asks_within = models.FloatField(default=0, db_default=0)
    """Seconds over which the sensors of this wave spread their questions; counted when it begins."""
    spread_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    waves = models.JSONField(default=list)
    waves_left = models.PositiveSmallIntegerField(default=0)
    pause_minutes = models.PositiveIntegerField(default=0)
    max_rejected = models.PositiveSmallIntegerField(null=True, blank=True)
    """Percent; None: it never halts by itself."""
    max_alerts = models.PositiveSmallIntegerField(null=True, blank=True)
    """Times the alerts of the hour before; None: it never halts because of them."""
    waiting_until = models.DateTimeField(null=True, blank=True)
    paused_at = models.DateTimeField(null=True, blank=True)
    pause_reason = models.CharField(max_length=200, blank=True)

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
    """One version's way to one sensor. Sent is not applied: only the sensor's word says so."""

    rollout = models.ForeignKey(Rollout, on_delete=models.CASCADE, related_name="deliveries")
    sensor = models.ForeignKey(Sensor, on_delete=models.CASCADE, related_name="deliveries")
    state = models.CharField(max_length=16, choices=DeliveryState, default=DeliveryState.PENDING)
    created_at = models.DateTimeField(default=timezone.now)
    fetched_at = models.DateTimeField(null=True, blank=True)
    acknowledged_at = models.DateTimeField(null=True, blank=True)
    error = models.CharField(max_length=2_000, blank=True)

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
