"""Alert counts, kept by triggers as alerts are opened, changed and deleted.

These are database views (migrations/tallies.sql) whose rows must be added up: a single row means nothing. Sums are
exact in every snapshot. A string longer than 512 characters is counted under its first 512.
"""

from __future__ import annotations

from typing import ClassVar

from django.db import models

from accounts.models import ScopedBy, VisibleQuerySet, WholeEstateOnly
from drift.alerts.models.alerts import Status
from drift.fleet.models import Cluster, Provider


class Dimension(models.TextChoices):
    """What alerts are counted by. Its `key` is the rule's id, the image's name, the namespace or the binary's id."""

    RULE = "rule"
    IMAGE = "image"
    NAMESPACE = "namespace"
    BINARY = "binary"


class OpenedByHour(models.Model):
    """Alerts by the hour in which they began, with reviewers' times to acknowledge and to close them.

    The times leave out alerts that a rule suppressed.
    """

    pk = models.CompositePrimaryKey("hour", "provider", "status")
    hour = models.DateTimeField()
    provider = models.CharField(max_length=16, choices=Provider)
    status = models.CharField(max_length=16, choices=Status)
    count = models.BigIntegerField()
    acknowledged = models.BigIntegerField()
    acknowledged_seconds = models.FloatField()
    closed = models.BigIntegerField()
    closed_seconds = models.FloatField()

    visibility: ClassVar = WholeEstateOnly("counts of the whole estate")
    objects = VisibleQuerySet.as_manager()

    class Meta:
        managed = False

    def __str__(self) -> str:
        return f"{self.count} at {self.hour}"


class Period(models.TextChoices):
    """The periods that alerts are counted over: a day, and a week from Monday (UTC). Each alert is in one of each."""

    DAY = "day"
    WEEK = "week"


class OpenedByPeriod(models.Model):
    """Alerts by the period in which they began and, separately, by each Dimension."""

    pk = models.CompositePrimaryKey("dimension", "period", "start", "key")
    dimension = models.CharField(max_length=16, choices=Dimension)
    period = models.CharField(max_length=8, choices=Period)
    start = models.DateField()
    key = models.CharField(max_length=512)
    count = models.BigIntegerField()

    visibility: ClassVar = WholeEstateOnly("counts of the whole estate")
    objects = VisibleQuerySet.as_manager()

    class Meta:
        managed = False

    def __str__(self) -> str:
        return f"{self.count} of {self.dimension} {self.key} in the {self.period} from {self.start}"


class AlertTotal(models.Model):
    """Alerts by Dimension and status, with when the first and the last that was ever counted here began."""

    pk = models.CompositePrimaryKey("dimension", "key", "status")
    dimension = models.CharField(max_length=16, choices=Dimension)
    key = models.CharField(max_length=512)
    status = models.CharField(max_length=16, choices=Status)
    count = models.BigIntegerField()
    first_seen = models.DateTimeField()
    last_seen = models.DateTimeField()

    visibility: ClassVar = WholeEstateOnly("counts of the whole estate")
    objects = VisibleQuerySet.as_manager()

    class Meta:
        managed = False

    def __str__(self) -> str:
        return f"{self.count} of {self.dimension} {self.key}"


class AlertGroup(models.Model):
    """AlertTotal by cluster as well. It has many more rows, so filter by keys or by clusters."""

    pk = models.CompositePrimaryKey("dimension", "key", "cluster_id", "status")
    dimension = models.CharField(max_length=16, choices=Dimension)
    key = models.CharField(max_length=512)
    cluster = models.ForeignKey(Cluster, on_delete=models.DO_NOTHING, db_constraint=False, related_name="+")
    status = models.CharField(max_length=16, choices=Status)
    count = models.BigIntegerField()
    first_seen = models.DateTimeField()
    last_seen = models.DateTimeField()

    visibility: ClassVar = ScopedBy(cluster="cluster", namespace=None)
    objects = VisibleQuerySet.as_manager()

    class Meta:
        managed = False

    def __str__(self) -> str:
        return f"{self.count} of {self.dimension} {self.key}"
