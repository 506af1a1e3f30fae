"""Events as the sensors saw them, and what they have in common stored once.

Workloads and binaries are interned: an event refers to one of each, so that a backtest looks at
their distinct pairs and an event stays small. Interned rows are touched once a day by every web
process that meets them (`last_seen_on`) and go when nothing has met them for as long as events live.
"""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.utils import timezone

from accounts.models import VisibleQuerySet
from drift.fleet.models import Cluster


class Workload(models.Model):
    """What the policy looks at, except for the process (DESIGN: Words). An empty text is "not known".

    `digest` is over all the other facts, so one tuple is one row. `scope` is over those that stay
    the same from one release of the workload to the next: cluster, namespace, owner and container.
    """

    digest = models.UUIDField(unique=True)
    scope = models.UUIDField()
    cluster = models.ForeignKey(Cluster, on_delete=models.PROTECT, related_name="+")
    namespace = models.CharField(max_length=256, blank=True)
    owner_kind = models.CharField(max_length=256, blank=True)
    owner_name = models.CharField(max_length=256, blank=True)
    container_name = models.CharField(max_length=256, blank=True)
    image_name = models.CharField(max_length=1_024, blank=True)
    image_digest = models.CharField(max_length=200, blank=True)
    pod_labels = models.JSONField(default=dict)
    first_seen_on = models.DateField()
    last_seen_on = models.DateField()

    objects = VisibleQuerySet.as_manager()

    class Meta:
        indexes: ClassVar = [models.Index(fields=["last_seen_on"], name="workloads_by_last_seen")]

    def __str__(self) -> str:
        return (
            "/".join(filter(None, (self.namespace, self.owner_name, self.container_name)))
            or f"cluster {self.cluster_id}"
        )


class Binary(models.Model):
    """A drifted file: where it was, what it holds and how it drifted. No `sha256`: it could not be had."""

    digest = models.UUIDField(unique=True)
    path = models.CharField(max_length=4_096)
    name = models.CharField(max_length=256)
    sha256 = models.CharField(max_length=64, blank=True)
    kind = models.CharField(max_length=32)
    first_seen_on = models.DateField()
    last_seen_on = models.DateField()

    objects = VisibleQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "binaries"
        indexes: ClassVar = [
            models.Index(fields=["sha256"], name="binaries_by_content"),
            models.Index(fields=["last_seen_on"], name="binaries_by_last_seen"),
        ]

    def __str__(self) -> str:
        return self.path


class Sighting(models.Model):
    """This binary ran in this workload: the estate's map of where a file turned up."""

    workload = models.ForeignKey(Workload, on_delete=models.CASCADE, related_name="+")
    binary = models.ForeignKey(Binary, on_delete=models.CASCADE, related_name="sightings")
    first_seen_on = models.DateField()
    last_seen_on = models.DateField()

    objects = VisibleQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["workload", "binary"], name="one_sighting_per_pair")]
        indexes: ClassVar = [models.Index(fields=["last_seen_on"], name="sightings_by_last_seen")]

    def __str__(self) -> str:
        return f"{self.binary_id} in {self.workload_id}"


class DriftEvent(models.Model):
    """One event, in the partition of the day it was observed on (`drift.alerts.partitions`).

    The table is made by SQL in the first migration, for Django knows no partitions. It has no foreign
    keys: each would be checked for every event, and what it refers to outlives it by design.
    `detail` is the rest of the event as JSON; None where the rate limit dropped it.
    """

    pk = models.CompositePrimaryKey("observed_on", "sensor_id", "event_id")
    observed_on = models.DateField()
    sensor_id = models.UUIDField()
    event_id = models.UUIDField()
    mode = models.CharField(max_length=8)
    count = models.BigIntegerField()
    observed_at = models.DateTimeField()
    last_at = models.DateTimeField()
    received_at = models.DateTimeField(default=timezone.now)
    workload = models.ForeignKey(Workload, on_delete=models.DO_NOTHING, db_constraint=False, related_name="+")
    binary = models.ForeignKey(Binary, on_delete=models.DO_NOTHING, db_constraint=False, related_name="+")
    fingerprint = models.UUIDField()
    parent_name = models.CharField(max_length=256)
    pod_name = models.CharField(max_length=256)
    container_id = models.CharField(max_length=64)
    action = models.CharField(max_length=8)
    rule = models.CharField(max_length=256)
    reason = models.CharField(max_length=32)
    policy_number = models.PositiveIntegerField(null=True)
    outcome = models.CharField(max_length=16)
    outcome_reason = models.CharField(max_length=256)
    detail = models.JSONField(null=True)

    objects = VisibleQuerySet.as_manager()

    class Meta:
        managed = False
        db_table = "alerts_driftevent"

    def __str__(self) -> str:
        return f"{self.sensor_id} {self.event_id}"
