"""Since when conditions hold that have no time of their own."""

from __future__ import annotations

from typing import ClassVar

from django.db import models

from accounts.models import VisibleQuerySet, WholeEstateOnly


class ConditionStart(models.Model):
    """A condition that failed at the last check of the whole estate, and the first check at which it did."""

    code = models.CharField(max_length=32, primary_key=True)
    began_at = models.DateTimeField()

    visibility: ClassVar = WholeEstateOnly("a condition may hold outside the viewer's scope")
    objects = VisibleQuerySet.as_manager()

    def __str__(self) -> str:
        return f"{self.code} since {self.began_at}"
