"""The append-only audit log."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.utils import timezone

from accounts.models.users import User
from accounts.models.visibility import Own
from accounts.models.visible_rows import VisibleQuerySet


class AuditEntry(models.Model):
    """One change: actor, verb, object, values before and after. A trigger rejects UPDATE, DELETE and TRUNCATE."""

    at = models.DateTimeField(default=timezone.now, db_index=True)
    actor = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    actor_name = models.CharField(max_length=256)
    verb = models.CharField(max_length=64)
    object_type = models.CharField(max_length=64)
    object_id = models.CharField(max_length=64)
    object_name = models.CharField(max_length=256, blank=True)
    before = models.JSONField(null=True)
    after = models.JSONField(null=True)

    visibility: ClassVar = Own("actor")
    objects = VisibleQuerySet.as_manager()

    class Meta:
        indexes: ClassVar = [models.Index(fields=["object_type", "object_id"], name="audit_by_object")]

    def __str__(self) -> str:
        return f"{self.actor_name} {self.verb} {self.object_name or self.object_id}"
