"""How much the sensors of a rollout alert, minute by minute, while it halts on too much of it."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import Q

from drift.fleet.models import Rollout


class RateWatch(models.Model):
    """A rollout whose alerts are counted, and until when they are."""

    rollout = models.OneToOneField(Rollout, on_delete=models.CASCADE, primary_key=True, related_name="+")
    counted_to = models.DateTimeField()

    def __str__(self) -> str:
        return f"alerts of rollout {self.rollout_id} up to {self.counted_to}"


class AlertMinute(models.Model):
    """How many fingerprints of one sensor alerted in one minute: on the rollout's version (`is_after`), or before."""

    pk = models.CompositePrimaryKey("rollout_id", "minute", "sensor_id", "is_after")
    rollout = models.ForeignKey(Rollout, on_delete=models.CASCADE, related_name="+", db_index=False)
    minute = models.DateTimeField()
    sensor_id = models.UUIDField()
    is_after = models.BooleanField()
    alerts = models.PositiveIntegerField()

    class Meta:
        constraints: ClassVar = [models.CheckConstraint(condition=Q(alerts__gte=1), name="minute_has_alerts")]

    def __str__(self) -> str:
        return f"{self.alerts} of {self.sensor_id} at {self.minute}"
