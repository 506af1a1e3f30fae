"""What containers executed around their drift (docs/alerts.md#what-happened-around-it)."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils import timezone

from accounts.models import ScopedBy, VisibleQuerySet
from drift.fleet.models import Cluster, Sensor


class StoredExec(models.Model):
    """One exec in a container, the image's own included. `exec_id` is the event's id where the exec drifted.

    `detail` is the rest of `wire.ContainerExec` as JSON. `missed` execs of the container directly before it are gone.
    Kept as long as events are.
    """

    pk = models.CompositePrimaryKey("sensor_id", "exec_id")
    sensor = models.ForeignKey(Sensor, on_delete=models.CASCADE, related_name="+", db_index=False)
    exec_id = models.UUIDField()
    cluster = models.ForeignKey(Cluster, on_delete=models.PROTECT, related_name="+", db_index=False)
    namespace = models.CharField(max_length=256, blank=True)
    container_id = models.CharField(max_length=64)
    observed_at = models.DateTimeField()
    detail = models.JSONField()
    missed = models.BigIntegerField(default=0)

    visibility: ClassVar = ScopedBy(cluster="cluster", namespace="namespace")
    objects = VisibleQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [models.CheckConstraint(condition=Q(missed__gte=0), name="missed_execs_are_counted")]
        indexes: ClassVar = [
            models.Index(fields=["sensor", "container_id", "observed_at"], name="execs_of_container"),
            models.Index(fields=["observed_at"], name="execs_by_time"),
        ]

    def __str__(self) -> str:
        return f"{self.detail.get('path')} in {self.container_id}"


class ExecBudget(models.Model):
    """How many execs of a sensor were stored since `window_at`; `dropped_at`: when one last exceeded what it may."""

    sensor = models.OneToOneField(Sensor, on_delete=models.CASCADE, primary_key=True, related_name="+")
    stored = models.PositiveIntegerField(default=0)
    window_at = models.DateTimeField(default=timezone.now)
    dropped_at = models.DateTimeField(null=True)

    visibility: ClassVar = ScopedBy(cluster="sensor__cluster", namespace=None)

    def __str__(self) -> str:
        return f"{self.stored} of {self.sensor_id}"
