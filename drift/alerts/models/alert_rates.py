"""How many alerts the sensors of a rollout raise, by the minute, while it halts on alerts."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import Q

from accounts.models import WholeEstateOnly
from drift.fleet.models import Rollout


class RateWatch(models.Model):
    """A rollout whose alerts are counted, and the time up to which they are."""

    rollout = models.OneToOneField(Rollout, on_delete=models.CASCADE, primary_key=True, related_name="+")
    counted_to = models.DateTimeField()

    visibility: ClassVar = WholeEstateOnly("counts of the whole estate, for the rollout's own use")

    def __str__(self) -> str:
        return f"alerts of rollout {self.rollout_id} up to {self.counted_to}"


class AlertMinute(models.Model):
    """How many fingerprints of a sensor alerted in a minute, on the rollout's version (`is_after`) or before it."""

    pk = models.CompositePrimaryKey("rollout_id", "minute", "sensor_id", "is_after")
    rollout = models.ForeignKey(Rollout, on_delete=models.CASCADE, related_name="+", db_index=False)
    minute = models.DateTimeField()
    sensor_id = models.UUIDField()
    is_after = models.BooleanField()
    alerts = models.PositiveIntegerField()

    visibility: ClassVar = WholeEstateOnly("counts of the whole estate, for the rollout's own use")

    class Meta:
        constraints: ClassVar = [models.CheckConstraint(condition=Q(alerts__gte=1), name="minute_has_alerts")]

    def __str__(self) -> str:
        return f"{self.alerts} of {self.sensor_id} at {self.minute}"
