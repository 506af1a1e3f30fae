"""How many alerts there are, counted as they come, change and go.

These are views (migrations/tallies.sql): each shows rows that are to be added up, so a row of its own means nothing.
What they say holds for the moment it is asked. A text longer than 512 characters is counted under its first 512.
"""

from __future__ import annotations

from django.db import models

from accounts.models import VisibleQuerySet
from drift.alerts.models.alerts import Status
from drift.fleet.models import Cluster, Provider


class Dimension(models.TextChoices):
    """What alerts are counted by; a `key` is the rule's id, the image's name, the namespace, the binary's number."""

    RULE = "rule"
    IMAGE = "image"
    NAMESPACE = "namespace"
    BINARY = "binary"


class OpenedByHour(models.Model):
    """Alerts by the hour in which they began, and how long people took with them, what rules suppressed left out."""

    pk = models.CompositePrimaryKey("hour", "provider", "status")
    hour = models.DateTimeField()
    provider = models.CharField(max_length=16, choices=Provider)
    status = models.CharField(max_length=16, choices=Status)
    count = models.BigIntegerField()
    acknowledged = models.BigIntegerField()
    acknowledged_seconds = models.FloatField()
    closed = models.BigIntegerField()
    closed_seconds = models.FloatField()

    objects = VisibleQuerySet.as_manager()

    class Meta:
        managed = False

    def __str__(self) -> str:
        return f"{self.count} at {self.hour}"


class Period(models.TextChoices):
    """What alerts are counted over: a day, or a week that starts on a Monday (UTC). Each alert is in both."""

    DAY = "day"
    WEEK = "week"


class OpenedByPeriod(models.Model):
    """Alerts by the period in which they began and, each for itself, by every Dimension."""

    pk = models.CompositePrimaryKey("dimension", "period", "start", "key")
    dimension = models.CharField(max_length=16, choices=Dimension)
    period = models.CharField(max_length=8, choices=Period)
    start = models.DateField()
    key = models.CharField(max_length=512)
    count = models.BigIntegerField()

    objects = VisibleQuerySet.as_manager()

    class Meta:
        managed = False

    def __str__(self) -> str:
        return f"{self.count} of {self.dimension} {self.key} in the {self.period} from {self.start}"


class AlertTotal(models.Model):
    """Alerts by Dimension and status; when the first and the last that ever was in the row began."""

    pk = models.CompositePrimaryKey("dimension", "key", "status")
    dimension = models.CharField(max_length=16, choices=Dimension)
    key = models.CharField(max_length=512)
    status = models.CharField(max_length=16, choices=Status)
    count = models.BigIntegerField()
    first_seen = models.DateTimeField()
    last_seen = models.DateTimeField()

    objects = VisibleQuerySet.as_manager()

    class Meta:
        managed = False

    def __str__(self) -> str:
        return f"{self.count} of {self.dimension} {self.key}"


class AlertGroup(models.Model):
    """The same by cluster too: many more rows, so ask for some keys or for some clusters."""

    pk = models.CompositePrimaryKey("dimension", "key", "cluster_id", "status")
    dimension = models.CharField(max_length=16, choices=Dimension)
    key = models.CharField(max_length=512)
    cluster = models.ForeignKey(Cluster, on_delete=models.DO_NOTHING, db_constraint=False, related_name="+")
    status = models.CharField(max_length=16, choices=Status)
    count = models.BigIntegerField()
    first_seen = models.DateTimeField()
    last_seen = models.DateTimeField()

    objects = VisibleQuerySet.as_manager()

    class Meta:
        managed = False

    def __str__(self) -> str:
        return f"{self.count} of {self.dimension} {self.key}"
