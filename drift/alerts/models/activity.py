"""The timeline of an alert, comments included. Rows are added, never changed."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.utils import timezone

from accounts.models import ScopedBy, User, VisibleQuerySet
from drift.alerts.models.alerts import Alert


class ActivityKind(models.TextChoices):
    OPENED = "opened", "opened the alert"
    STATUS = "status", "changed the status"
    ASSIGNED = "assigned", "assigned the alert"
    COMMENT = "comment", "commented"
    SPREAD = "spread", "ended the snooze"
    SET_ASIDE = "set_aside", "set the alert aside"
    RESTORED = "restored", "brought the alert back"
    SUPPRESSED = "suppressed", "dismissed the alert by a suppression rule"


class AlertActivity(models.Model):
    """One line of an alert's timeline. A trigger rejects UPDATE; only retention deletes, together with the alert."""

    alert = models.ForeignKey(Alert, on_delete=models.CASCADE, related_name="activities")
    at = models.DateTimeField(default=timezone.now)
    kind = models.CharField(max_length=16, choices=ActivityKind)
    actor = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    before = models.JSONField(null=True)
    after = models.JSONField(null=True)
    text = models.TextField(blank=True)

    visibility: ClassVar = ScopedBy(cluster="alert__cluster", namespace="alert__namespace")
    objects = VisibleQuerySet.as_manager()

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["alert", "id"], name="activities_of_alert"),
        ]
        constraints: ClassVar = [
            models.CheckConstraint(condition=models.Q(kind__in=ActivityKind.values), name="activity_kind_is_known"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} of alert {self.alert_id}"


class AlertMention(models.Model):
    """A user whom comments on an alert mention, however many comments. A trigger adds the row with the comment.

    A table of its own, because PostgreSQL then knows how many alerts mention a user, and so whether to read those
    alerts or to walk the list and look each alert up here.
    """

    pk = models.CompositePrimaryKey("user_id", "alert_id")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+", db_index=False)
    alert = models.ForeignKey(Alert, on_delete=models.CASCADE, related_name="mentions")

    visibility: ClassVar = ScopedBy(cluster="alert__cluster", namespace="alert__namespace")
    objects = VisibleQuerySet.as_manager()

    def __str__(self) -> str:
        return f"user {self.user_id} on alert {self.alert_id}"
