"""One-time links with which an invited user, or one who lost their password, chooses one."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.utils import timezone

from accounts.models.users import User
from accounts.models.visibility import WholeEstateOnly


class OneTimeLink(models.Model):
    """A link of one user. A new one replaces it, using it deletes it, and a trigger ends it with the account."""

    user = models.OneToOneField(User, on_delete=models.CASCADE, related_name="link")
    digest = models.BinaryField(max_length=32, unique=True)
    created_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField()

    visibility: ClassVar = WholeEstateOnly("who is invited is for those who manage users")

    def __str__(self) -> str:
        return f"link of {self.user_id}"

    @property
    def is_expired(self) -> bool:
        return self.expires_at <= timezone.now()
