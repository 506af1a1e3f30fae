"""API tokens of users."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.utils import timezone

from accounts.models.users import User
from accounts.models.visibility import Own


class ApiToken(models.Model):
    """A user's API token: a public prefix to look it up, a keyed digest to compare.

    `is_scoped`: it sees only what its scope entries and its owner's scope have in common.
    """

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="tokens")
    name = models.CharField(max_length=128)
    prefix = models.CharField(max_length=16, unique=True)
    digest = models.BinaryField(max_length=32)
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)
    is_scoped = models.BooleanField(default=False, db_default=False)

    visibility: ClassVar = Own("user")

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix})"
