"""The append-only audit log, and the seals that chain it."""

from __future__ import annotations

import datetime as dt
from typing import ClassVar, Final

from django.db import models
from django.utils import timezone

from accounts.models.users import User
from accounts.models.visibility import Own, WholeEstateOnly
from accounts.models.visible_rows import VisibleQuerySet

EARLIEST: Final = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
LATEST: Final = dt.datetime(2200, 1, 1, tzinfo=dt.UTC)
"""A time beyond year 9999 would make every reader of the log fail."""


class AuditEntry(models.Model):
    """One change: actor, verb, object, values before and after, and the request that made it.

    Triggers reject TRUNCATE, and every UPDATE and DELETE except the erasure of personal values and the deletion of
    entries that were sealed 90 days ago (docs/audit.md).
    """

    at = models.DateTimeField(default=timezone.now, db_index=True)
    actor = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    actor_name = models.CharField(max_length=256)
    verb = models.CharField(max_length=64)
    object_type = models.CharField(max_length=64)
    object_id = models.CharField(max_length=64)
    object_name = models.CharField(max_length=256, blank=True)
    before = models.JSONField(null=True)
    after = models.JSONField(null=True)
    # With defaults in the database too: portals of the previous version insert entries without these.
    origin = models.CharField(max_length=64, default="", db_default="")
    """`page`, `api`, `task NAME` or `manage.py NAME`."""
    address = models.CharField(max_length=45, default="", db_default="")
    agent = models.CharField(max_length=200, default="", db_default="")
    session = models.CharField(max_length=16, default="", db_default="")
    """The first characters of the digest of the session's key."""
    token = models.CharField(max_length=16, default="", db_default="")
    """The public prefix of the API token."""
    request_id = models.CharField(max_length=64, default="", db_default="")

    visibility: ClassVar = Own("actor")
    objects = VisibleQuerySet.as_manager()

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["object_type", "object_id"], name="audit_by_object"),
            models.Index(fields=["id"], condition=~models.Q(address="", agent=""), name="audit_with_address"),
        ]
        constraints: ClassVar = [
            models.CheckConstraint(condition=models.Q(at__gte=EARLIEST, at__lt=LATEST), name="audit_time_is_plausible"),
        ]

    def __str__(self) -> str:
        return f"{self.actor_name} {self.verb} {self.object_name or self.object_id}"


class AuditSeal(models.Model):
    """One position of the chain over the audit log (`accounts.audit_chain`). It outlives its entry.

    Only the sealer adds seals. A trigger rejects DELETE and TRUNCATE, and every UPDATE but that of salts.
    """

    position = models.BigIntegerField(primary_key=True)
    # Without a constraint in the database: retention deletes the entry and keeps its seal.
    entry = models.OneToOneField(AuditEntry, models.DO_NOTHING, db_constraint=False, related_name="seal")
    record = models.BinaryField(max_length=32)
    """The digest of the entry's committed fields."""
    digest = models.BinaryField(max_length=32)
    """The digest of this position, and so of all before it."""
    sealed_at = models.DateTimeField(db_index=True)
    salts = models.JSONField(default=dict)
    """The salt of each personal value, by its path."""
    erased = models.JSONField(default=dict)
    """The commitment of each value that was erased, by its path."""

    visibility: ClassVar = WholeEstateOnly("the chain is verified as a whole")

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(condition=models.Q(position__gte=1), name="audit_position_from_one"),
        ]

    def __str__(self) -> str:
        return f"audit position {self.position}"
