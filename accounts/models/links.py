"""One-time links with which an invited user, or one who lost their password, chooses one."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.utils import timezone

from accounts.models.users import User
from accounts.models.visibility import WholeEstateOnly


class OneTimeLink(models.Model):
    """A link of one user, given by an Owner or requested by whoever forgot their password.

    An Owner's new link replaces the one before. Using one deletes all of the user, and a trigger does
    when the account is deactivated.
    """

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="links")
    is_requested = models.BooleanField(default=False, db_default=False)
    mailed_to = models.EmailField(blank=True, default="", db_default="")
    """Where it was mailed, empty if it was shown: who uses a mailed link has proved that this address is theirs."""
    digest = models.BinaryField(max_length=32, unique=True)
    created_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField()

    visibility: ClassVar = WholeEstateOnly("who is invited is for those who manage users")

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["user"], condition=models.Q(is_requested=False), name="one_given_link_per_user"
            ),
        ]

    def __str__(self) -> str:
        return f"link of {self.user_id}"

    @property
    def is_expired(self) -> bool:
        return self.expires_at <= timezone.now()
