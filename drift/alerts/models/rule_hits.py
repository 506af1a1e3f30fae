"""How often each rule of the policy decided, kept beside the events so that no page counts them."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import Q

from accounts.models import VisibleQuerySet


class RuleHits(models.Model):
    """Execs of one UTC day that a rule (an id, or "default") decided with an action, and the last of them.

    Several rows may be of one day, rule and action: every batch of events adds its own, so that no two wait for each
    other, and a task folds them into one. So sum them up; that is exact in every snapshot.
    """

    day = models.DateField()
    rule = models.CharField(max_length=256)
    action = models.CharField(max_length=8)
    execs = models.BigIntegerField()
    last_at = models.DateTimeField()

    objects = VisibleQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "rule hits"
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(execs__gte=1), name="hits_are_execs"),
        ]

    def __str__(self) -> str:
        return f"{self.execs} by {self.rule} on {self.day}"
