"""Rules that dismiss alerts as they open."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models.functions import Lower
from django.utils import timezone

from accounts.models import User, VisibleQuerySet, WholeEstateOnly
from drift.fleet.models import Environment


class SuppressionRule(models.Model):
    """New alerts that meet every condition are stored as dismissed. Without environments, it applies in all of them.

    `conditions` has the form of a policy rule's resource scope: a list of {property, any_of}. A rule that does not name
    the content of files dismisses what is in `contents`, or with `covers_new_content` any content.
    """

    name = models.CharField(max_length=128)
    enabled = models.BooleanField(default=True)
    environments = models.ManyToManyField(Environment, blank=True, related_name="+")
    conditions = models.JSONField()
    reason = models.CharField(max_length=32)
    comment = models.CharField(max_length=1_000, blank=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    # In the database true: what rules meant before there was the column, and what portals of that version still store.
    covers_new_content = models.BooleanField(default=False, db_default=True)
    hits = models.PositiveBigIntegerField(default=0)
    created_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    created_at = models.DateTimeField(default=timezone.now)
    reviewed_at = models.DateTimeField(null=True)
    """When its author last looked at what it dismisses; None: when it was created."""
    revision = models.PositiveIntegerField(default=1)

    visibility: ClassVar = WholeEstateOnly("queries.suppression_scope compares each rule's conditions with a scope")
    objects = VisibleQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(Lower("name"), name="one_suppression_rule_per_name"),
            models.CheckConstraint(condition=models.Q(revision__gte=1), name="suppression_revision_from_one"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_in_force(self) -> bool:
        return self.enabled and (self.expires_at is None or self.expires_at > timezone.now())


class SuppressedContent(models.Model):
    """Content of files that a rule matched when its author reviewed it, so that the rule may dismiss it."""

    pk = models.CompositePrimaryKey("rule_id", "sha256")
    rule = models.ForeignKey(SuppressionRule, on_delete=models.CASCADE, related_name="contents", db_index=False)
    sha256 = models.CharField(max_length=64)

    visibility: ClassVar = WholeEstateOnly("read with its rule, which queries.suppression_scope compares with a scope")
    objects = VisibleQuerySet.as_manager()

    def __str__(self) -> str:
        return f"{self.sha256} by rule {self.rule_id}"
