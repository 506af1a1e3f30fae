"""How many alerts a sensor, and each of its containers, opened lately (docs/alerts.md#floods)."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils import timezone

from accounts.models import ScopedBy
from drift.fleet.models import Sensor


class AlertBudget(models.Model):
    """The alerts opened since `window_at` by a sensor (`container_id` empty) or by one of its containers.

    `flooding_since` is set while further new files are counted in one alert; `excess_at` is the last of them.
    """

    pk = models.CompositePrimaryKey("sensor_id", "container_id")
    sensor = models.ForeignKey(Sensor, on_delete=models.CASCADE, related_name="+", db_index=False)
    container_id = models.CharField(max_length=64)
    opened = models.PositiveIntegerField()
    window_at = models.DateTimeField(default=timezone.now)
    flooding_since = models.DateTimeField(null=True)
    excess_at = models.DateTimeField(null=True)

    visibility: ClassVar = ScopedBy(cluster="sensor__cluster", namespace=None)

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(flooding_since=None, excess_at=None)
                | Q(flooding_since__isnull=False, excess_at__isnull=False),
                name="flood_has_excess",
            )
        ]

    def __str__(self) -> str:
        return f"{self.opened} of {self.sensor_id} {self.container_id}"
