"""What happened to an alert, and what people said of it: rows are added, never changed."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.utils import timezone

from accounts.models import User, VisibleQuerySet
from drift.alerts.models.alerts import Alert


class ActivityKind(models.TextChoices):
    OPENED = "opened", "opened the alert"
    STATUS = "status", "changed the status"
    ASSIGNED = "assigned", "assigned it"
    COMMENT = "comment", "commented"
    SPREAD = "spread", "ended the quiet period"
    SUPPRESSED = "suppressed", "dismissed it by a suppression rule"


class AlertActivity(models.Model):
    """One line of an alert's timeline. A trigger refuses UPDATE; only retention deletes, with the alert."""

    alert = models.ForeignKey(Alert, on_delete=models.CASCADE, related_name="activities")
    at = models.DateTimeField(default=timezone.now)
    kind = models.CharField(max_length=16, choices=ActivityKind)
    actor = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    before = models.JSONField(null=True)
    after = models.JSONField(null=True)
    text = models.TextField(blank=True)

    objects = VisibleQuerySet.as_manager()

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["alert", "id"], name="activities_of_alert"),
            models.Index(fields=["alert"], condition=models.Q(kind=ActivityKind.COMMENT), name="comments_of_alert"),
        ]
        constraints: ClassVar = [
            models.CheckConstraint(condition=models.Q(kind__in=ActivityKind.values), name="activity_kind_is_known"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} of alert {self.alert_id}"
