"""Events as sensors reported them. What they have in common is stored once.

Workloads and binaries are interned: an event refers to one of each, so events stay small and a backtest evaluates
distinct pairs. Every web process updates `last_seen_on` of the rows it meets once a day; a row is deleted when it was
not met for as long as events are kept.
"""

from __future__ import annotations

from typing import ClassVar

from django.contrib.postgres.indexes import GinIndex, OpClass
from django.db import models
from django.db.models import F
from django.utils import timezone

from accounts.models import ScopedBy, ScopedThrough, VisibleQuerySet, WholeEstateOnly
from drift.fleet.models import Cluster


class Workload(models.Model):
    """What a policy matches besides the process (docs/alerts.md#one-alert). An empty string means unknown.

    `digest` covers all other facts, so equal facts are one row. `scope` covers those that a workload keeps from one
    release to the next: cluster, namespace, owner and container, this one without a generated name.
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

    visibility: ClassVar = ScopedBy(cluster="cluster", namespace="namespace")
    objects = VisibleQuerySet.as_manager()

    class Meta:
        indexes: ClassVar = [models.Index(fields=["last_seen_on"], name="workloads_by_last_seen")]

    def __str__(self) -> str:
        return (
            "/".join(filter(None, (self.namespace, self.owner_name, self.container_name)))
            or f"cluster {self.cluster_id}"
        )


class Binary(models.Model):
    """A drifted file: path, content and kind of drift. `sha256` is empty where the file could not be hashed.

    The image is that of a volume or of another container, where the file is from one; empty otherwise.
    """

    digest = models.UUIDField(unique=True)
    path = models.CharField(max_length=4_096)
    name = models.CharField(max_length=256)
    sha256 = models.CharField(max_length=64, blank=True)
    kind = models.CharField(max_length=32)
    image_name = models.CharField(max_length=1_024, blank=True, default="", db_default="")
    image_digest = models.CharField(max_length=200, blank=True, default="", db_default="")
    first_seen_on = models.DateField()
    last_seen_on = models.DateField()

    visibility: ClassVar = ScopedThrough(("sightings", "alerts"))
    objects = VisibleQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "binaries"
        indexes: ClassVar = [
            models.Index(fields=["sha256"], name="binaries_by_content"),
            models.Index(fields=["last_seen_on"], name="binaries_by_last_seen"),
            GinIndex(OpClass(F("path"), name="gin_trgm_ops"), name="binaries_by_path"),
        ]

    def __str__(self) -> str:
        return self.path


class Provenance(models.Model):
    """Who wrote a file and how its process came into the container, as sensors know it. An empty string means unknown.

    Events of one file may have several; those of sensors that do not know it have none.
    """

    digest = models.UUIDField(unique=True)
    session = models.CharField(max_length=16, blank=True)
    written_by = models.CharField(max_length=4_096, blank=True)
    written_by_name = models.CharField(max_length=256, blank=True)
    writer_origin = models.CharField(max_length=16, blank=True)
    written_by_parent = models.CharField(max_length=256, blank=True)
    written_in_session = models.CharField(max_length=16, blank=True, db_default="")
    first_seen_on = models.DateField()
    last_seen_on = models.DateField()

    visibility: ClassVar = WholeEstateOnly("facts of events, which are read with their event")
    objects = VisibleQuerySet.as_manager()

    class Meta:
        indexes: ClassVar = [models.Index(fields=["last_seen_on"], name="provenances_by_last_seen")]

    def __str__(self) -> str:
        return self.written_by or self.session or "unknown"


class Sighting(models.Model):
    """A binary ran in a workload: where else a file was seen, and what ends snoozes."""

    workload = models.ForeignKey(Workload, on_delete=models.CASCADE, related_name="+")
    binary = models.ForeignKey(Binary, on_delete=models.CASCADE, related_name="sightings")
    first_seen_on = models.DateField()
    last_seen_on = models.DateField()

    visibility: ClassVar = ScopedBy(cluster="workload__cluster", namespace="workload__namespace")
    objects = VisibleQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["workload", "binary"], name="one_sighting_per_pair")]
        indexes: ClassVar = [models.Index(fields=["last_seen_on"], name="sightings_by_last_seen")]

    def __str__(self) -> str:
        return f"{self.binary_id} in {self.workload_id}"


class DriftEvent(models.Model):
    """One event, in the partition of the day it was observed on (`drift.alerts.actions.partitions`).

    SQL in the first migration creates the table, because Django does not support partitions. It has no foreign keys:
    each would be checked for every event, and retention keeps what an event refers to longer than the event. `detail`
    is the rest of the event as JSON; None where the rate limit dropped it. `provenance_id` is 0 where it is not known.
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
    provenance = models.ForeignKey(
        Provenance, on_delete=models.DO_NOTHING, db_constraint=False, null=True, related_name="+"
    )
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

    visibility: ClassVar = ScopedBy(cluster="workload__cluster", namespace="workload__namespace")
    objects = VisibleQuerySet.as_manager()

    class Meta:
        managed = False
        db_table = "alerts_driftevent"

    def __str__(self) -> str:
        return f"{self.sensor_id} {self.event_id}"
