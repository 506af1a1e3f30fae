"""How often each policy rule decided, stored beside the events so that pages need not count those."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import Q

from accounts.models import ScopedBy, VisibleQuerySet, WholeEstateOnly
from drift.fleet.models import Cluster


class RuleHits(models.Model):
    """Executions of one UTC day that a rule (an id, or "default") decided with an action, and the time of the last.

    One day, rule and action may have several rows, which readers must add up: every batch inserts its own, so that no
    two batches wait for each other, and a task folds them into one. The sum is exact in every snapshot.
    """

    day = models.DateField()
    rule = models.CharField(max_length=256)
    action = models.CharField(max_length=8)
    execs = models.BigIntegerField()
    last_at = models.DateTimeField()

    visibility: ClassVar = WholeEstateOnly("counts of the whole estate")
    objects = VisibleQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "rule hits"
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(execs__gte=1), name="hits_are_execs"),
        ]

    def __str__(self) -> str:
        return f"{self.execs} by {self.rule} on {self.day}"


class ClusterRuleHits(models.Model):
    """RuleHits of one cluster, for users who do not see the whole estate."""

    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="+", db_index=False)
    day = models.DateField()
    rule = models.CharField(max_length=256)
    action = models.CharField(max_length=8)
    execs = models.BigIntegerField()
    last_at = models.DateTimeField()

    visibility: ClassVar = ScopedBy(cluster="cluster", namespace=None)
    objects = VisibleQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "rule hits of clusters"
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(execs__gte=1), name="cluster_hits_are_execs"),
        ]
        indexes: ClassVar = [models.Index(fields=["cluster", "rule"], name="hits_of_cluster")]

    def __str__(self) -> str:
        return f"{self.execs} by {self.rule} in {self.cluster_id} on {self.day}"
