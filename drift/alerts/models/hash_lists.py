"""Lists of files that are known to be good or bad, by their content."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models.functions import Lower
from django.utils import timezone

from accounts.models import Everybody, User


class HashVerdict(models.TextChoices):
    """What a list says of its files."""

    GOOD = "good", "Known good"
    BAD = "bad", "Known bad"


class HashList(models.Model):
    """An Owner's list of SHA-256 sums (docs/priority.md#hash-lists)."""

    name = models.CharField(max_length=64)
    verdict = models.CharField(max_length=4, choices=HashVerdict)
    size = models.PositiveIntegerField()
    created_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    created_at = models.DateTimeField(default=timezone.now)

    visibility: ClassVar = Everybody("says what a file is known as, and nothing of the estate")

    class Meta:
        ordering: ClassVar = ["name"]
        constraints: ClassVar = [
            models.UniqueConstraint(Lower("name"), name="one_hash_list_per_name"),
            models.CheckConstraint(condition=models.Q(verdict__in=HashVerdict.values), name="hash_verdict_is_known"),
        ]

    def __str__(self) -> str:
        return self.name


class ListedHash(models.Model):
    """One file of a list."""

    pk = models.CompositePrimaryKey("sha256", "hash_list_id")
    sha256 = models.CharField(max_length=64)
    hash_list = models.ForeignKey(HashList, on_delete=models.CASCADE, related_name="hashes")

    visibility: ClassVar = Everybody("says what a file is known as, and nothing of the estate")

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(condition=models.Q(sha256__regex=r"^[0-9a-f]{64}$"), name="listed_hash_is_sha256")
        ]

    def __str__(self) -> str:
        return self.sha256
