"""Saved views of the list of alerts."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.utils import timezone

from accounts.models import Own, User


class SavedView(models.Model):
    """A user's view of the list: filters, order and grouping, as a query string."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="alert_views")
    name = models.CharField(max_length=64)
    query = models.CharField(max_length=4_000, blank=True)
    created_at = models.DateTimeField(default=timezone.now)

    visibility: ClassVar = Own("user")

    class Meta:
        ordering: ClassVar = ["name"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["user", "name"], name="one_view_per_name")]

    def __str__(self) -> str:
        return self.name
