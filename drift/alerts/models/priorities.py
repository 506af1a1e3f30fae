"""Which alerts have to be scored again, and how a user wants to see the list."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.utils import timezone

from accounts.models import Own, ScopedBy, User, WholeEstateOnly
from drift.alerts.models.alerts import Alert
from drift.fleet.models import Cluster


class AlertScoring(models.Model):
    """Asks for a new priority of an alert. Several rows may name one, also one that is deleted: so adding a row waits
    for nobody, and nobody who deletes an alert has to know of it.
    """

    alert = models.ForeignKey(Alert, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+")
    created_at = models.DateTimeField(default=timezone.now)

    visibility: ClassVar = WholeEstateOnly("a queue for the portal's own use")

    def __str__(self) -> str:
        return f"priority of alert {self.alert_id}"


class HabitDay(models.Model):
    """A day (UTC) on which a workload had an alert of a way, a lineage (`domain.habits`) or a trait (`domain.traits`).

    `scope` is the workload's. `habit` is any of the three.

    Only added, by whoever scores; the day is the portal's, so that a sensor that dates events back teaches no habit.
    """

    pk = models.CompositePrimaryKey("habit", "scope", "day")
    habit = models.UUIDField()
    scope = models.UUIDField()
    day = models.DateField()
    cluster = models.ForeignKey(Cluster, on_delete=models.PROTECT, related_name="+", db_index=False)
    namespace = models.CharField(max_length=256, blank=True)

    visibility: ClassVar = ScopedBy(cluster="cluster", namespace="namespace")

    class Meta:
        indexes: ClassVar = [models.Index(fields=["day"], name="habits_by_day")]

    def __str__(self) -> str:
        return f"{self.habit} in {self.scope} on {self.day}"


class ListPreference(models.Model):
    """A user's order of the list of alerts, whether its rows are compact, and whether it opens with incidents."""

    user = models.OneToOneField(User, on_delete=models.CASCADE, primary_key=True, related_name="+")
    sort = models.CharField(max_length=16, blank=True)
    is_compact = models.BooleanField(default=False)
    view = models.CharField(max_length=16, blank=True, default="", db_default="")

    visibility: ClassVar = Own("user")

    def __str__(self) -> str:
        return f"list of {self.user_id}"
